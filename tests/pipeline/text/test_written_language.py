"""Another language is told from English by its words; what may be English is left to the English voices."""

import pytest

from pipeline.text.written_language import written_language

ENGLISH = """
Hello.|Hi Jürgen!|Good morning, Señor García.|Ludwig van Beethoven|Paris|Call Anna Müller in München.
Café au lait, please.|El Niño returns|Rio de Janeiro|Angela Merkel spoke to Emmanuel Macron in Brussels yesterday.
José and María de la Cruz live in San Sebastián.|I ate pierogi in Kraków with Agnieszka.|Søren Kierkegaard was born in København.
Leonardo da Vinci and Vincent van Gogh|Hasta la vista, baby.|Mamma mia!|Déjà vu|Doppelgänger|Die Hard|Die|Was|Chat|Gift|Rat|Hotel
Lorem ipsum dolor sit amet|Tour de France, stage nine|Real Madrid vs. Bayern Munich|Krzysztof Kieślowski|Fjällräven|Kuala Lumpur
my name is giovanni and i live in firenze|quid pro quo|sudo apt install foo|next stop gare du nord|42|...|xyz|ASAP
WARNING: DO NOT OPEN|GUTEN MORGEN
""".replace("\n", "|").strip("|")
OTHERS = {
    "de": "Ich heiße Anna und wohne in Berlin.|Das Wetter ist heute sehr schön.|Der Zug nach München fährt um acht Uhr ab.",
    "fr": "Je m'appelle Marie et j'habite à Lyon.|Il fait très beau aujourd'hui.|Où est la gare ?",
    "es": "Me llamo Ana y vivo en Sevilla.|Hoy hace muy buen tiempo.|¿Dónde está la estación?|¿Cómo estás?",
    "it": "Mi chiamo Anna e abito a Roma.|Il treno per Milano parte alle otto.",
    "pt": "Meu nome é Ana e moro em Lisboa.|Era uma vez um rei que tinha três filhas.",
    "nl": "Ik heet Anna en ik woon in Amsterdam.|Het weer is vandaag erg mooi.",
    "pl": "Nazywam się Anna i mieszkam w Warszawie.",
    "sv": "Jag heter Anna och bor i Stockholm.",
    "da": "Jeg hedder Anna og bor i København.",
    "fi": "Minun nimeni on Anna ja asun Helsingissä.",
    "cs": "Jmenuji se Anna a bydlím v Praze.",
    "tr": "Bugün hava çok güzel ve herkes bahçede.",
    "hu": "Anna vagyok és Budapesten lakom.",
    "ro": "Mă numesc Ana și locuiesc în București.",
    "vi": "Hôm nay thời tiết rất đẹp.",
    "ru": "Привет, как дела?",
    "ja": "こんにちは、世界。",
}


@pytest.mark.parametrize("text", ENGLISH.split("|"))
def test_what_may_be_english_is_left_alone(text: str) -> None:
    assert written_language(text) == ""


@pytest.mark.parametrize(
    ("language", "text"), [(code, one) for code, texts in OTHERS.items() for one in texts.split("|")]
)
def test_other_languages_are_known_by_a_sentence(language: str, text: str) -> None:
    assert written_language(text) == language
    assert written_language(f"{text} {text}\n") == language


def test_a_long_text_is_judged_by_its_beginning() -> None:
    assert written_language("The end of the story is that nobody came. " * 2000) == ""
    assert written_language("Das ist ein sehr langer Text über das Wetter. " * 2000) == "de"
