"""`ttml`: Timed Text, as broadcasters and editing programs exchange it. https://www.w3.org/TR/ttml-imsc1.1/"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from pipeline.captions.labels import labelled_cues
from pipeline.captions.layout import Cue
from pipeline.formats.base import Format, RenderOptions
from pipeline.transcript import Transcript

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
    xmlns:tts="http://www.w3.org/ns/ttml#styling" ttp:timeBase="media" ttp:cellResolution="32 15"
    ttp:profile="http://www.w3.org/ns/ttml/profile/imsc1.1/text" xml:lang={language}>
  <head>
    <styling>
      <style xml:id="spoken" tts:fontFamily="proportionalSansSerif" tts:fontSize="100%" tts:color="white" tts:textAlign="center"/>
    </styling>
    <layout>
      <region xml:id="bottom" tts:origin="10% 10%" tts:extent="80% 80%" tts:displayAlign="after"/>
    </layout>
  </head>
  <body>
    <div style="spoken">
"""
_FOOT = """    </div>
  </body>
</tt>
"""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


class Ttml:
    """IMSC 1.1 text profile: one region at the bottom, a paragraph for each cue, clock times with milliseconds."""

    name = "ttml"
    media_type = "application/ttml+xml; charset=utf-8"
    extension = ".ttml"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        shown = labelled_cues(transcript, options)
        body = "".join(_paragraph(number, cue) for number, cue in enumerate(shown, start=1))
        return _HEAD.format(language=quoteattr(transcript.language or "")) + body + _FOOT + _note(options)


def _note(options: RenderOptions) -> str:
    """Which revision it is, where it is one."""
    revision = options.extra.get("revision")
    return "" if revision is None else f"<!-- revision {revision} -->\n"


def _paragraph(number: int, cue: Cue) -> str:
    text = "<br/>".join(escape(_NOT_XML.sub("", line)) for line in cue.lines)
    times = f'begin="{_clock(cue.start)}" end="{_clock(cue.end)}"'
    return f'      <p xml:id="cue{number}" region="bottom" {times}>{text}</p>\n'


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"


FORMAT: Format = Ttml()
