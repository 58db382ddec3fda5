"""A model as the catalog describes it: routes, prices, voices and limits. Frozen values, checked when they are read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import InvalidRequest, MediaTooLarge
from pipeline.options import Task


class Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(Row):
    """One provider (a name in `[providers]`, or a kind) and what the model is called there.

    `diarizes` says that it tells speakers apart: diarized_json is asked of such routes only. `languages` are those that it
    hears, where its provider does not say and the model's own list is wrong for it. `tasks` are those of the model's that it
    does, where it does not do all of them.
    """

    provider: str
    model: str
    diarizes: bool = False
    languages: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()


class Prices(Row):
    """US dollars per unit of each dimension; None where the model is not priced by it.

    `speakers_minute`: of sound in which speakers are told apart here, on top of what hearing it costs.
    """

    audio_minute: Decimal | None = None
    audio_hour: Decimal | None = None
    speakers_minute: Decimal | None = None
    thousand_characters: Decimal | None = None
    million_text_tokens_in: Decimal | None = None
    million_audio_tokens_in: Decimal | None = None
    million_text_tokens_out: Decimal | None = None
    million_audio_tokens_out: Decimal | None = None

    def of(self, *, speakers: bool) -> Prices:
        """Those of work in which speakers are told apart, or are not."""
        return self if speakers or not self.speakers_minute else self.model_copy(update={"speakers_minute": None})


class Voice(Row):
    """What a caller may name as `voice`, and how it sounds."""

    id: str
    description: str


class Limits(Row):
    """What one call of a synchronous endpoint may have at most, where that is less than the endpoint takes; None: as it takes.

    A provider's own limits do not belong here: what is too much for one call to it is cut and put together again.
    """

    max_bytes: int | None = Field(None, gt=0)
    max_seconds: int | None = Field(None, gt=0)
    max_characters: int | None = Field(None, gt=0)

    def check_file(self, size: int) -> None:
        """Raises MediaTooLarge."""
        if self.max_bytes is not None and size > self.max_bytes:
            most = f"This model takes files of at most {self.max_bytes} bytes here"
            raise MediaTooLarge(f"{most}; POST /v1/audio/jobs takes larger ones.", param="file")

    def check_text(self, text: str) -> None:
        """Raises InvalidRequest."""
        if self.max_characters is not None and len(text) > self.max_characters:
            most = f"The input text is longer than the {self.max_characters} characters that this model takes here"
            raise InvalidRequest(f"{most}; POST /v1/audio/jobs takes longer ones.", param="input")

    def seconds(self, general: int) -> int:
        """How long a recording may be, where `general` holds for all models."""
        return general if self.max_seconds is None else min(self.max_seconds, general)


class Facts(Row):
    """Where a model's prices and limits were read, and when: both change without telling anybody."""

    as_of: date
    source: str


class Shutdown(Row):
    """The end of a model at the vendor whose name it has: here it goes on, as long as anybody serves it.

    `known_since` is the day on which we knew; `successor` the model that the vendor offers in its place, if there is one.
    """

    on: date
    known_since: date
    successor: str | None = None

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.on}, successor {self.successor}" if self.successor else f"{self.on}, no successor"

    @property
    def sunset(self) -> datetime:
        """Its last moment: the vendor names a day, and says no hour."""
        return datetime.combine(self.on, time(), UTC)

    @property
    def deprecation(self) -> int:
        """Since when, in Unix seconds."""
        return int(datetime.combine(self.known_since, time(), UTC).timestamp())


class Model(Row):
    """One model as callers know it.

    `routes` serve it, best first; `successors` do once all of these are gone: once their providers have said that they no longer
    have the model, or the endpoint. A failure is no such answer.

    `aliases` are further names of it; `formats` what it writes, where that is not everything; `languages` ISO 639 codes,
    empty where nobody can list them. In the file, `languages`, here and in a route, may name a list of `[languages]` or have
    such names among its codes, `voices` names tables of `[voices]`, and `facts` one of `[facts]`.
    """

    id: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = Field(min_length=1)
    formats: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    voices: tuple[Voice, ...] = ()
    limits: Limits = Limits()
    prices: Prices = Prices()
    facts: Facts | None = None
    shutdown: Shutdown | None = None
    audio_ratio: Decimal = Decimal(1)
    owned_by: str = "stenopool"
    routes: tuple[Route, ...] = ()
    successors: tuple[Route, ...] = ()
