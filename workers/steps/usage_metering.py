"""What hearing or speaking a chunk has used, in the units that its job's model is priced in."""

from __future__ import annotations

import logging

from infra.database.tables.jobs import Job
from pipeline.cut.cutter import Span
from pipeline.pricing import Usage, by_tokens, heard_usage, prices_from_dict, spoken_usage
from pipeline.transcript import Heard, samples_to_ms

log = logging.getLogger(__name__)


def used(job: Job, span: Span, heard: Heard, prompt: str = "") -> Usage | None:
    """None where only seconds count. A provider's count of tokens that is far off our own is logged, and not billed."""
    prices = prices_from_dict(job.prices)
    if not by_tokens(prices):
        return None
    if not span.is_sent:
        return Usage()
    usage = heard_usage(
        prices,
        audio_ms=samples_to_ms(span.heard),
        text=" ".join(segment.text for segment in heard.segments),
        prompt=prompt,
        reported=heard.usage,
    )
    if heard.usage is not None and usage.counted != "provider":
        log.warning("the provider counts %s, we count %s and bill that", heard.usage, usage.tokens)
    return usage


def spoken(job: Job, passage: str, audio_ms: int) -> Usage | None:
    """The same of a passage that was spoken."""
    prices = prices_from_dict(job.prices)
    return spoken_usage(text=passage, audio_ms=audio_ms) if by_tokens(prices) else None
