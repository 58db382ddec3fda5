"""How speakers with names sound, by the samples that the caller has sent as `data:` URLs. They are kept no longer than the call."""

from __future__ import annotations

import base64
import binascii
import contextlib

from pipeline.audio.decode import decode
from pipeline.cut.cutter import CutProfile, cut
from pipeline.errors import InvalidRequest, MediaTooLong, ProviderError
from pipeline.options import TranscriptionOptions
from pipeline.speakers.diarizer import Diarizer
from pipeline.transcript import Voiceprints

_MOST_S = 30.0  # of a sample, of which 10 s are wanted
_PARAM = "known_speaker_references"


def samples(options: TranscriptionOptions, diarizer: Diarizer) -> list[Voiceprints]:
    """One for each name that has a reference. Raises InvalidRequest for one that cannot be read, or in which nobody speaks."""
    named = zip(options.known_speaker_names, options.known_speaker_references, strict=False)
    return [_sample(name, url, diarizer) for name, url in named]


def check_references(options: TranscriptionOptions, diarizer: Diarizer | None) -> None:
    """Raises InvalidRequest for a reference that is none, before anybody hears for nothing; what else fails, is told in the end."""
    if diarizer is not None and options.tells_apart:
        with contextlib.suppress(ProviderError):
            samples(options, diarizer)


def _sample(name: str, url: str, diarizer: Diarizer) -> Voiceprints:
    try:
        sound = base64.b64decode("".join(url.partition(",")[2].split()), validate=True)
        with decode(sound, max_seconds=_MOST_S) as decoding:
            chunks = list(cut(decoding, CutProfile(max_s=_MOST_S, min_s=_MOST_S / 2)))
    except binascii.Error:
        raise InvalidRequest(f"The reference of {name!r} is not valid base64.", param=_PARAM) from None
    except MediaTooLong:
        told = f"The reference of {name!r} is longer than {_MOST_S:.0f} s: 2 to 10 s of his speech are enough."
        raise InvalidRequest(told, param=_PARAM) from None
    except InvalidRequest as error:
        raise InvalidRequest(f"The reference of {name!r} cannot be heard: {error.message}", param=_PARAM) from None
    for chunk in chunks:
        if chunk.span.is_sent and (prints := diarizer.voiceprints(chunk.pcm, chunk.span)).places:
            return prints
    raise InvalidRequest(f"Nobody speaks in the reference of {name!r}.", param=_PARAM)
