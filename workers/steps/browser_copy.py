"""A job's recording once more, as browsers play it, where they do not play it as it is: for whoever reads its text in the console.

It is the recording's, not the job's: kept, counted and deleted with it, and made once. Hearing does not wait for it where there are
several chunks: they are on their way by then. Where it cannot be made the job goes on without it.
"""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from infra.database.tables.uploads import Media
from infra.keys.tiers import LOW
from infra.media import KEPT, copy_key
from pipeline.audio.access.remote import Remote
from pipeline.audio.decode import AudioFacts
from pipeline.audio.playback.browser_copy import browser_copy, plays_everywhere
from pipeline.errors import AudioStalled, LimitExceeded, MediaTooLong, SandboxFailed
from workers.job_context import JobContext

log = logging.getLogger(__name__)


def keep_copy(context: JobContext, media: Media, source: Path | Remote, facts: AudioFacts | None) -> None:
    """Raises what the stores raise, LeaseLost, and what a source raises that cannot be read any more."""
    if facts is None or not _is_wanted(context, media, facts):
        return
    services, key, limit = context.services, copy_key(media), context.services.settings.max_audio_seconds
    try:
        with (
            closing(browser_copy(source, declared=context.options.raw, max_seconds=limit)) as blocks,
            services.storage.writer(key) as writer,
        ):
            for block in blocks:
                context.held.check()
                writer.write(block)
        with context.kept(key):
            services.media.copied(media.id, writer.bytes)
    except (AudioStalled, LimitExceeded, MediaTooLong, SandboxFailed) as error:
        log.warning("no copy of the recording that browsers play: %s", error)


def _is_wanted(context: JobContext, media: Media, facts: AudioFacts) -> bool:
    """Not of a part: nobody pays for the rest. Not in a batch or an archive: their recordings are many, and nobody plays each. Nor
    of a file without headers that its account keeps: another job may declare it otherwise."""
    job = context.job
    is_partial, is_one_of_many = bool(job.request.get("range")), bool(job.batch_id) or job.priority <= LOW
    if media.copied or is_partial or is_one_of_many or not context.services.settings.browser_copies:
        return False
    has_many_meanings = context.options.raw is not None and media.state == KEPT
    return not has_many_meanings and not plays_everywhere(facts, media.bytes)
