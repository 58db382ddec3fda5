"""The languages by their ISO 639 codes: what callers may call them, and the English names of those that recognisers know.

OpenAI's API takes `language=en` and answers `"language": "english"`. Callers also write `EN`, `en-US`, `eng`, `English` and
`auto`: all of it is understood in one place, here.
"""

from __future__ import annotations

import re

from pipeline.errors import UnsupportedLanguage

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


# ISO 639-1, and how ISO 639-2 and 639-3 write the same languages.
_LONGER = """
    aa=aar ab=abk ae=ave af=afr ak=aka am=amh an=arg ar=ara as=asm av=ava ay=aym az=aze ba=bak be=bel bg=bul bi=bis bm=bam
    bn=ben bo=bod,tib br=bre bs=bos ca=cat ce=che ch=cha co=cos cr=cre cs=ces,cze cu=chu cv=chv cy=cym,wel da=dan de=deu,ger
    dv=div dz=dzo ee=ewe el=ell,gre en=eng eo=epo es=spa et=est eu=eus,baq fa=fas,per ff=ful fi=fin fj=fij fo=fao fr=fra,fre
    fy=fry ga=gle gd=gla gl=glg gn=grn gu=guj gv=glv ha=hau he=heb hi=hin ho=hmo hr=hrv ht=hat hu=hun hy=hye,arm hz=her ia=ina
    id=ind ie=ile ig=ibo ii=iii ik=ipk io=ido is=isl,ice it=ita iu=iku ja=jpn jv=jav ka=kat,geo kg=kon ki=kik kj=kua kk=kaz
    kl=kal km=khm kn=kan ko=kor kr=kau ks=kas ku=kur kv=kom kw=cor ky=kir la=lat lb=ltz lg=lug li=lim ln=lin lo=lao lt=lit
    lu=lub lv=lav mg=mlg mh=mah mi=mri,mao mk=mkd,mac ml=mal mn=mon mr=mar ms=msa,may mt=mlt my=mya,bur na=nau nb=nob nd=nde
    ne=nep ng=ndo nl=nld,dut nn=nno no=nor nr=nbl nv=nav ny=nya oc=oci oj=oji om=orm or=ori os=oss pa=pan pi=pli pl=pol ps=pus
    pt=por qu=que rm=roh rn=run ro=ron,rum ru=rus rw=kin sa=san sc=srd sd=snd se=sme sg=sag si=sin sk=slk,slo sl=slv sm=smo
    sn=sna so=som sq=sqi,alb sr=srp ss=ssw st=sot su=sun sv=swe sw=swa ta=tam te=tel tg=tgk th=tha ti=tir tk=tuk tl=tgl tn=tsn
    to=ton tr=tur ts=tso tt=tat tw=twi ty=tah ug=uig uk=ukr ur=urd uz=uzb ve=ven vi=vie vo=vol wa=wln wo=wol xh=xho yi=yid
    yo=yor za=zha zh=zho,chi zu=zul
"""
_PAIRED = {short: longer.split(",") for short, longer in (pair.split("=") for pair in _LONGER.split())}
# Withdrawn codes; Whisper's own for Javanese; and what is the same when it is spoken: Bokmål is a way to write Norwegian.
_SAME = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "nb": "no", "nob": "no", "fil": "tl", "cmn": "zh"}
_CODES = {longer: short for short, several in _PAIRED.items() for longer in several} | _SAME
_FURTHER = {  # names that Whisper takes besides
    "burmese": "my", "castilian": "es", "flemish": "nl", "haitian creole": "ht", "letzeburgesch": "lb", "mandarin": "zh",
    "moldavian": "ro", "moldovan": "ro", "panjabi": "pa", "pushto": "ps", "sinhalese": "si", "valencian": "ca",
}  # fmt: skip
_NAMED = {name: _SAME.get(code, code) for code, name in NAMES.items()} | _FURTHER
_NO_LANGUAGE = re.compile(r"mis|mul|und|zxx|q[a-t][a-z]")  # what ISO 639 reserves for other things
_SUBTAGS = re.compile(r"([-_][a-z0-9]{1,8})*", re.ASCII)
_THREE = re.compile(r"[a-z]{3}", re.ASCII)
_LEFT_OPEN = ("", "auto")
_WHAT_TO_SEND = (
    "This is no language that we know. Send an ISO 639-1 code, such as 'en', or 'auto' to have it found out."
)


def language_code(name: str) -> str | None:
    """The one code of a language that is given by a code or by an English name, in upper or lower case; None for no language.

    Of a tag such as `de-AT` the language counts. ISO 639-1 where it has a code; codes of three letters that it does not have
    stay as they are, because there are thousands of them.
    """
    name = name.strip().lower()
    if name in _NAMED:
        return _NAMED[name]
    base = re.split("[-_]", name, maxsplit=1)[0]
    code = _CODES.get(base, base)
    known = code in _PAIRED or (_THREE.fullmatch(code) and not _NO_LANGUAGE.fullmatch(code))
    return code if known and _SUBTAGS.fullmatch(name[len(base) :]) else None


def asked_language(name: str | None, *, param: str = "language") -> str | None:
    """The code of the language that a caller names; None where it is left open, with nothing or with "auto".

    Raises UnsupportedLanguage, about the field `param`, for what is no language.
    """
    if name is None or name.strip().lower() in _LEFT_OPEN:
        return None
    code = language_code(name)
    if code is None:
        raise UnsupportedLanguage(_WHAT_TO_SEND, param=param)
    return code
