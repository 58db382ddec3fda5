"""Phrases that recognisers are known to invent over music, ring tones and noise.

Whisper and its kin learned from subtitles, and where nobody speaks they write what stands in subtitles there: who made them,
thanks for watching, the name of a sound. Credits and names of sounds are nobody's words wherever they stand. The rest people do
say, at the end of a video: so it counts only where it is all that was heard in a chunk. The phrases are those that users of these
models report most often; "Thank you." and "Bye.", which head every such list, are too common to be held against anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.text.word_match import normal
from pipeline.transcript import Segment

_CREDITS = re.compile(
    r".*(?:amara\.org|dimatorzok|castingwords)"
    r"|(?:sub|cap)ti(?:tl|on)(?:es|ed|s)? by\b|untertitel(?:ung)? (?:von|der|des|im)\b"
    r"|sous-titr(?:es|age) (?:r[ée]alis|fait|st'? ?501|soci[ée]t[ée] radio-canada)|ondertitel(?:s|ing) (?:ingediend|door)\b"
    r"|sottotitoli (?:creati|e revisione|a cura)\b|subt[ií]tulos (?:realizados|por)\b|legendas (?:pela|por)\b"
    r"|napisy (?:stworzone|wykonane)\b|субтитры (?:сделал|созда|подогнал|делал)|редактор субтитров|字幕(?:by|由|志愿者|製作)"
)
_LONGEST_CREDIT = 100  # characters
_SOUND = re.compile(r"(?:[\[(*\uff08【][^\])*\uff09】]*[\])*\uff09】]|[♪♫♬♩🎵🎶\s.,!…-])+")  # also in Chinese brackets
_FAREWELLS = frozenset(
    map(
        normal,
        (
            "Thanks for watching", "Thank you for watching", "Thank you so much for watching", "Thank you very much for watching",
            "Please subscribe", "Please subscribe to my channel", "Please like and subscribe", "Like and subscribe",
            "Don't forget to like and subscribe", "See you next time", "See you in the next video",
            "I'll see you in the next video", "Vielen Dank fürs Zuschauen", "Danke fürs Zuschauen",
            "Bis zum nächsten Mal", "Merci d'avoir regardé cette vidéo", "Merci d'avoir regardé",
            "Abonnez-vous", "Gracias por ver el video", "Gracias por ver", "Suscríbete", "Suscríbete al canal",
            "Obrigado por assistir", "Inscreva-se no canal", "Grazie per la visione", "Grazie per aver guardato il video",
            "Iscrivetevi al canale", "Bedankt voor het kijken", "Dziękuję za oglądanie", "Dziękuję za uwagę",
            "Продолжение следует", "Спасибо за просмотр", "Подписывайтесь на канал", "İzlediğiniz için teşekkürler",
            "Altyaz\u0131 M.K.",
            "ご視聴ありがとうございました", "チャンネル登録をお願いいたします",
            "谢谢观看", "感谢观看", "請不吝點贊訂閱轉發打賞支持明鏡與點點欄目",
            "시청해주셔서 감사합니다", "구독과 좋아요 부탁드립니다",
        ),
    )
)  # fmt: skip

_LONGEST_FAREWELL = 60  # characters, with all marks


def phantoms(segments: Sequence[Segment]) -> list[bool]:
    """Of each of a chunk's segments, whether nobody can be believed to have said it."""
    nobody_s = [_nobody_s(segment.text) for segment in segments]
    known = [one or _farewell(segment.text) for one, segment in zip(nobody_s, segments, strict=True)]
    return known if all(known) else nobody_s


def _farewell(text: str) -> bool:
    return len(text) <= _LONGEST_FAREWELL and normal(text) in _FAREWELLS


def _nobody_s(text: str) -> bool:
    credit = len(text) <= _LONGEST_CREDIT and _CREDITS.match(text.casefold())
    return bool(credit or _SOUND.fullmatch(text))
