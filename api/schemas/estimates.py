"""What POST /v1/audio/estimates takes, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from infra.requests.audio_options import Unset
from infra.requests.job_object import CURRENCY
from infra.requests.job_request import MAX_TEXT, JobFields
from infra.requests.number_bounds import LONGEST
from pipeline.catalog.model import Prices
from pipeline.money import usd
from pipeline.pricing import Usage, charge, prices_as_dict

NO_PRICE = "Of speech; does not change its price."


class EstimateFields(JobFields):
    """A job's options, and one of: a multipart `file`, `url`, `duration_seconds`, `text`."""

    task: Literal["transcription", "translation", "speech"] | None = Field(  # type: ignore[assignment]  # may be left out
        None, description="Default: speech for a `text`, else transcription."
    )
    duration_seconds: Annotated[float | None, Unset] = Field(
        None, gt=0, le=LONGEST, allow_inf_nan=False, description="How long the recording is: nothing is measured then."
    )
    text: Annotated[str | None, Unset] = Field(None, min_length=1, max_length=MAX_TEXT, description="What to speak.")

    input: str | None = Field(None, description="The same as `text`.")
    voice: object = Field(None, description=NO_PRICE)
    instructions: object = Field(None, description=NO_PRICE)
    speed: object = Field(None, description=NO_PRICE)

    @model_validator(mode="before")
    @classmethod
    def _of_speech(cls, value: Any) -> Any:
        """The options of speech do not change its price, and some of their values are no transcription's."""
        if not isinstance(value, dict) or not (value.get("text") or value.get("input")):
            return value
        rest = {name: value[name] for name in value if name not in ("response_format", "input")}
        return {"text": value.get("input"), **rest}

    def given(self, *, file: bool) -> list[str]:
        """By which names there is something to estimate."""
        named = [name for name in ("url", "duration_seconds", "text") if getattr(self, name) is not None]
        return ["file", *named] if file else named


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """What a request would use, on which terms. `measured`: the recording itself was decoded and cut to find out."""

    task: str
    model: str
    usage: Usage
    chunks: int
    measured: bool
    prices: Prices
    ratio: Decimal
    balance: int  # micro-dollars
    work: dict[str, Any] | None = None  # of one engine of ours: model, seconds, measured

    def shown(self) -> dict[str, Any]:
        """As the API tells it. Seconds of speech are guessed from its text."""
        cost = charge(self.usage, self.prices, self.ratio).micro
        return {
            "object": "audio.estimate",
            "task": self.task,
            "model": self.model,
            "duration_seconds": self.usage.audio_ms / 1000,
            "characters": self.usage.characters if self.task == "speech" else None,
            "chunks": self.chunks,
            "measured": self.measured,
            "work": self.work,
            "counted": self.usage.counted,
            "prices": prices_as_dict(self.prices) or {},
            "audio_ratio": str(self.ratio),
            "cost": {"currency": CURRENCY, "estimated": usd(cost)},
            "balance": {"currency": CURRENCY, "available": usd(self.balance), "sufficient": cost <= self.balance},
        }
