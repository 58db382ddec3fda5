"""The English names of the languages that speech recognisers know, by ISO 639 code.

OpenAI's API takes `language=en` and answers `"language": "english"`.
"""

from __future__ import annotations

_PAIRS = """
    af=afrikaans am=amharic ar=arabic as=assamese az=azerbaijani ba=bashkir be=belarusian bg=bulgarian bn=bengali bo=tibetan
    br=breton bs=bosnian ca=catalan cs=czech cy=welsh da=danish de=german el=greek en=english eo=esperanto es=spanish et=estonian
    eu=basque fa=persian fi=finnish fo=faroese fr=french ga=irish gl=galician gu=gujarati ha=hausa haw=hawaiian he=hebrew
    hi=hindi hr=croatian ht=haitian hu=hungarian hy=armenian id=indonesian is=icelandic it=italian ja=japanese jw=javanese
    jv=javanese ka=georgian kk=kazakh km=khmer kn=kannada ko=korean la=latin lb=luxembourgish ln=lingala lo=lao lt=lithuanian
    lv=latvian mg=malagasy mi=maori mk=macedonian ml=malayalam mn=mongolian mr=marathi ms=malay mt=maltese my=myanmar ne=nepali
    nl=dutch nn=nynorsk no=norwegian nb=norwegian oc=occitan pa=punjabi pl=polish ps=pashto pt=portuguese ro=romanian ru=russian
    sa=sanskrit sd=sindhi si=sinhala sk=slovak sl=slovenian sn=shona so=somali sq=albanian sr=serbian su=sundanese sv=swedish
    sw=swahili ta=tamil te=telugu tg=tajik th=thai tk=turkmen tl=tagalog tr=turkish tt=tatar uk=ukrainian ur=urdu uz=uzbek
    vi=vietnamese yi=yiddish yo=yoruba yue=cantonese zh=chinese
"""
NAMES: dict[str, str] = dict(pair.split("=") for pair in _PAIRS.split())


def english_name(code: str | None) -> str:
    """The lower-case English name; an unknown code stays as it is, and no code is "unknown"."""
    if not code:
        return "unknown"
    code = code.lower()
    return NAMES.get(code) or NAMES.get(code.split("-", maxsplit=1)[0], code)
