"""What one chunk is made of: its samples, or its passage's text.

Both are deleted once the chunk is done. A database that was restored from before that, beside a store from after it, names what is
gone: it is made once more from the recording or the text, which are kept until long after the job's end.
"""

from __future__ import annotations

import logging
from contextlib import closing

from infra.database.tables.jobs import Chunk
from pipeline.cut.cutter import Chunk as Sound
from pipeline.cut.cutter import span_from_dict
from pipeline.errors import InputMissing
from pipeline.run import cut_profile
from pipeline.text.text_splitter import PASSAGE, passages
from workers.job_context import JobContext
from workers.steps.recording import media_of, sound_of

log = logging.getLogger(__name__)


def samples_of(context: JobContext, chunk: Chunk) -> Sound:
    """Raises InputMissing where the recording is gone, too, or cuts into other chunks now."""
    span = span_from_dict(chunk.span)
    try:
        return Sound(span, context.services.storage.get(str(chunk.sound_key)))
    except InputMissing:
        log.warning("the sound of chunk %d is not in storage: it is cut from the recording again", chunk.idx)
    profile = cut_profile(context.options, context.services.registry)
    with (
        context.services.storage.recording(media_of(context).storage_key) as source,
        closing(sound_of(context, source).chunks(profile)) as chunks,
    ):
        found = next((one for one in chunks if one.span == span), None)
    if found is None:
        raise InputMissing("The chunk's sound is no longer in storage.")
    return found


def passage_of(context: JobContext, chunk: Chunk) -> str:
    """Raises InputMissing where the text is gone, too."""
    storage = context.services.storage
    try:
        return storage.get(str(chunk.sound_key)).decode()
    except InputMissing:
        log.warning("the text of passage %d is not in storage: it is taken from the whole again", chunk.idx)
    text = storage.get(media_of(context).storage_key).decode()
    return list(passages(text, longest=PASSAGE))[chunk.idx]
