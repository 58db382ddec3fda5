"""How a synchronous request pays: money and minutes are set aside before a provider is asked, and settled when it has answered.

Two short transactions, both where the request is worked for anyway: the hold, with the day's minutes in it, as soon
as the length is known and before anything is sent; then capture, release of the rest, minutes as measured, and the receipt.
Work that fails, and work whose client left before it was done, is released and costs nothing, but for what a stream has handed
out by then: that is paid. A process that dies leaves a hold, which the sweep gives back. So a request is billed once or not at all.

Speech is captured when its last block is made. A client that hangs up in the middle has got sound, and pays for the text once;
where a provider breaks off in the middle, the part that it has spoken is paid.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Self

from fastapi import Request

from api.sync.handed_out import HandedOut
from infra.database.session import Transaction
from infra.keys.accounts import Principal
from infra.money import quota
from infra.money.receipts import NewReceipt
from infra.wiring import Services
from pipeline.errors import StenopoolError
from pipeline.options import SpeechOptions, Task, TranscriptionOptions
from pipeline.pricing import (
    Usage,
    by_text,
    charge,
    estimated_usage,
    heard_usage,
    is_free,
    most_usage,
    spoken_ms,
    spoken_usage,
)
from pipeline.run import Speech
from pipeline.transcript import TokenUsage, Transcript

log = logging.getLogger("stenopool.api")


class Bill:
    """One request's. Methods wait for the database: call them where the work is done, one at a time; `promise` from anywhere.

    `subject` is what the ledger calls the request; `whole_ms` how long its recording is at most, None where nobody can say.
    """

    def __init__(
        self,
        services: Services,
        caller: Principal,
        subject: str,
        options: TranscriptionOptions | SpeechOptions,
        *,
        began: float | None = None,
    ) -> None:
        """`began`: the monotonic time at which the request came."""
        self._services = services
        self._caller = caller
        self._subject = subject
        self._options = options
        self._began = time.monotonic() if began is None else began
        self._prices = services.catalog.model(options.model).prices.of(speakers=self._asks_who_speaks)
        self._ratio: Decimal | None = None  # asked for at the first hold, which is when the request is accepted
        self._held = self._expected = 0  # micro-dollars; ms of sound
        self._open = self._settled = False
        self._most: int | None = None  # micro-dollars, once that is promised
        self._promising = threading.Lock()
        self.whole_ms: int | None = None
        self.micro = 0  # what it has cost, once settled
        self.tokens: TokenUsage | None = None  # what the receipt has of them, once settled

    @property
    def task(self) -> Task:
        """As receipts call it."""
        return self._options.task if isinstance(self._options, TranscriptionOptions) else "speech"

    @property
    def _asks_who_speaks(self) -> bool:
        return isinstance(self._options, TranscriptionOptions) and self._options.tells_apart

    @classmethod
    def of(
        cls, request: Request, services: Services, caller: Principal, options: TranscriptionOptions | SpeechOptions
    ) -> Self:
        """The bill of this request, whose id is ours: not one that a caller may send again."""
        return cls(services, caller, request.state.own_id, options, began=request.state.started_at)

    @property
    def cost_ahead(self) -> int | None:
        """What speech is going to cost, where its text alone decides: nobody can count tokens or seconds yet."""
        return charge(Usage(characters=len(self._text)), self._prices).micro if by_text(self._prices) else None

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing, however much it is."""
        return is_free(self._prices)

    def promise(self) -> int | None:
        """The most that it is going to cost, in micro-dollars: from now on no more is captured. None where nobody can say.

        It waits for the database only where nothing is held yet. Raises DatabaseUnavailable.
        """
        with self._promising:
            if self._most is None and not self._settled:
                self._most = self._dearest()
            return self._most

    def _dearest(self) -> int | None:
        if isinstance(self._options, SpeechOptions):
            usage = most_usage(self._prices, text=self._text, speed=self._options.speed)
        elif self.whole_ms is not None:
            usage = most_usage(self._prices, audio_ms=self.whole_ms, text=self._text)
        else:
            return None
        return self._price(usage)

    def expect(self, audio_ms: int) -> None:
        """So much sound is about to be heard: set aside what is missing for it.

        Raises InsufficientBalance, QuotaExceeded.
        """
        if self._open and audio_ms <= self._expected:
            return
        usage = estimated_usage(self._prices, audio_ms=audio_ms, text=self._text)
        self._set_aside(usage, audio_ms - self._expected)
        self._expected = audio_ms

    def expect_speech(self) -> None:
        """The text is about to be spoken. Raises InsufficientBalance."""
        self._set_aside(estimated_usage(self._prices, text=self._text), 0)

    def settle_heard(self, transcript: Transcript) -> None:
        """It has been heard; the transcript tells how much it was, and whether the speakers were told apart here."""
        self._prices = self._prices.of(speakers=transcript.speakers is not None)
        usage = heard_usage(
            self._prices,
            audio_ms=transcript.audio_ms,
            text=transcript.text,
            prompt=self._text,
            reported=transcript.usage,
        )
        self._settle(usage, transcript.model_used)

    @contextlib.contextmanager
    def paying_for(self, handed_out: HandedOut, client_gone: Callable[[], bool]) -> Iterator[None]:
        """Work that may end before its time, or before anybody waits for its end: what was handed out by then is paid."""
        try:
            yield
        except BaseException:
            part = handed_out.until(gone=client_gone())
            if part.milliseconds and not self._settled:
                self._prices = self._prices.of(speakers=False)
                usage = heard_usage(self._prices, audio_ms=part.milliseconds, text=part.text, prompt=self._text)
                self._settle(usage, part.model_used)
            raise

    def settle_spoken(self, speech: Speech) -> None:
        """It has been spoken, to its end or as far as the client listened."""
        usage = spoken_usage(text=self._text, audio_ms=speech.milliseconds, reported=speech.usage)
        self._settle(usage, speech.model_used)

    def settle_spoken_part(self, speech: Speech) -> None:
        """The provider broke off, and what it had spoken was sent. How much of the text that was, follows from its length."""
        whole = max(1, spoken_ms(self._text))
        part = self._text[: len(self._text) * min(whole, speech.milliseconds) // whole]
        usage = spoken_usage(text=part, audio_ms=speech.milliseconds, reported=speech.usage)
        self._settle(usage, speech.model_used)

    def release(self) -> None:
        """Give everything back, unless it is settled. Never raises: what cannot be given back now, the sweep gives back."""
        if not self._open or self._settled:
            return
        self._open = False
        self._services.renewal.drop(self._subject)
        try:
            self._services.ledger.release(self._subject, within=self._minutes(0))
        except StenopoolError as error:
            log.warning("a hold stays for the sweep: %s", error.code)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def _text(self) -> str:
        """The text to speak, or what precedes the recording."""
        return self._options.input if isinstance(self._options, SpeechOptions) else self._options.prompt or ""

    def _price(self, usage: Usage, session: Transaction | None = None) -> int:
        return charge(usage, self._prices, self._in_force(session)).micro

    def _in_force(self, session: Transaction | None = None) -> Decimal:
        """The ratio of the moment at which the request was accepted: of the transaction of its first hold, where it holds."""
        if self._ratio is None:
            ratios, asked = self._services.ratios, (self._options.model, self._caller.account_id)
            self._ratio = ratios.of(*asked) if session is None else ratios.within(session, *asked)
        return self._ratio

    def _set_aside(self, usage: Usage, ms: int) -> None:
        ledger = self._services.ledger
        take = partial(
            quota.take,
            account_id=self._caller.account_id,
            subject=self._subject,
            ms=ms,
            minutes=self._caller.limits.transcription_minutes_per_day,
            first=not self._open,
        )
        limited = self.task != "speech" and self._caller.limits.transcription_minutes_per_day is not None
        if self._held:
            micro = self._price(usage)
            if limited:
                with self._services.database.write() as session:
                    take(session)
            ledger.extend(self._subject, micro - self._held)
        else:
            price = 0 if is_free(self._prices) else partial(self._price, usage)
            micro = ledger.hold(self._caller.account_id, self._subject, price, within=take if limited else None)
        self._open, self._held = True, max(micro, self._held)
        self._services.renewal.keep(self._subject, self)

    def _settle(self, usage: Usage, model_used: str) -> None:
        """A database that is away now does not take the finished work from its caller, who then may have it for nothing."""
        receipt = NewReceipt(
            account_id=self._caller.account_id,
            key_id=self._caller.key_id,
            task=self.task,
            model=self._options.model,
            model_used=model_used,
            usage=usage,
            prices=self._prices,
            ratio=self._in_force(),
            latency_ms=round(1000 * (time.monotonic() - self._began)),
        )
        receipt, self.tokens = self._final(receipt), usage.tokens
        self._services.renewal.drop(self._subject)
        try:
            self.micro = self._services.ledger.settle(self._subject, receipt, within=self._minutes(usage.audio_ms)).cost
        except StenopoolError as error:
            self.micro = receipt.cost
            log.warning("finished work could not be booked: %s", error.code)

    def _final(self, receipt: NewReceipt) -> NewReceipt:
        """Within what was promised; whoever asks for a promise from now on hears this."""
        with self._promising:
            self._settled = True
            kept = receipt if self._most is None else replace(receipt, most=self._most)
            self._most = kept.cost
        return kept

    def _minutes(self, ms: int) -> quota.Within | None:
        """What settles the day's minutes, where any were taken."""
        limited = self.task != "speech" and self._caller.limits.transcription_minutes_per_day is not None
        return partial(quota.settle, subject=self._subject, ms=ms) if limited else None
