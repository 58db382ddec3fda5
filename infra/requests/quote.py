"""What a job is going to cost, said before it is accepted."""

from __future__ import annotations

from decimal import Decimal

from infra.money.job_money import Terms
from infra.requests.job_request import JobFields, SpeechJobFields
from infra.wiring import Services
from pipeline.audio.duration.estimate import Estimate
from pipeline.errors import CostLimitExceeded
from pipeline.money import MICRO, usd_text
from pipeline.options import DIARIZED
from pipeline.pricing import is_free


def job_terms(
    services: Services, account_id: str, fields: JobFields | SpeechJobFields, length: Estimate
) -> Terms | None:
    """The prices and the ratio of this moment, and the length as far as it is known; None for a model that is free.

    Raises CostLimitExceeded when it is sure to cost more than the request's `max_cost`.
    """
    prices = services.catalog.model(fields.model).prices.of(speakers=_asks_who_speaks(fields))
    if is_free(prices):
        return None
    most = None if fields.max_cost is None else int(Decimal(repr(fields.max_cost)) * MICRO)
    speech = isinstance(fields, SpeechJobFields)
    terms = Terms(
        prices=prices,
        ratio=services.ratios.of(fields.model, account_id),
        audio_ms=None if isinstance(fields, SpeechJobFields) else heard_ms(fields, length),
        text=fields.text if isinstance(fields, SpeechJobFields) else fields.prompt or "",
        max_cost_micro=most,
    )
    if most is not None and (speech or length.sure) and terms.estimated_micro > most:
        raise CostLimitExceeded(
            f"The job would cost {usd_text(terms.estimated_micro)} USD, more than its max_cost of {usd_text(most)} USD.",
            param="max_cost",
        )
    return terms


def _asks_who_speaks(fields: JobFields | SpeechJobFields) -> bool:
    if isinstance(fields, SpeechJobFields) or fields.task != "transcription":
        return False
    return fields.speakers is not None or fields.response_format == DIARIZED


def known_ms_of(fields: JobFields | SpeechJobFields, length: Estimate) -> int:
    """Of sound that will be heard, as the recording itself says; 0 where nobody knows yet."""
    return 0 if isinstance(fields, SpeechJobFields) or length.guessed else heard_ms(fields, length)


def heard_ms(fields: JobFields, length: Estimate) -> int:
    """Of a part only the part; what further tracks and channels cost is held when they are found."""
    if fields.range is None:
        return length.ms
    end = length.ms if fields.range.end is None else min(length.ms, round(1000 * fields.range.end))
    return max(0, end - round(1000 * fields.range.start))
