"""Sentences that are hard to read out, and how their words are compared with what was heard.

Both sides are brought to one spelling by the rules that OpenAI published with Whisper. What can be said, or written, in several
ways counts by the one that is nearest.
"""

import re
from dataclasses import dataclass

from whisper_normalizer.english import EnglishTextNormalizer

from tests.support.word_error_rate import word_errors


@dataclass(frozen=True)
class Sentence:
    """As it is written; `ways` are further spellings of what is said."""

    written: str
    ways: tuple[str, ...] = ()


VARIED = (
    Sentence(
        "The meeting on March 14, 2026 starts at 9:30 a.m. in Room 204.",
        (
            "The meeting on March 14th, 2026 starts at 930 am in room 204.",
            "The meeting on March 14th, 2026 starts at 9.30am in room 204.",
        ),
    ),
    Sentence(
        "Dr. Stone paid $1,250.75 for three tickets.", ("Dr. Stone paid 1250 dollars and 75 cents for three tickets.",)
    ),
    Sentence(
        "J. R. R. Tolkien wrote it before 1954, not in the 1970s.",
        ("JRR Tolkien wrote it before 1954, not in the 1970s.",),
    ),
    Sentence(
        "Visit https://www.example.com/help for more information.",
        (
            "Visit example.com slash help for more information.",
            "Visit example dot com slash help for more information.",
        ),
    ),
    Sentence(
        "Please write to support@example.org before Friday, Dec. 5.",
        (
            "Please write to support at example.org before Friday, December 5th.",
            "Please write to support@example.org before Friday, December 5th.",
        ),
    ),
    Sentence(
        "About 25% of the 3,400 visitors came from the U.S. and the U.K.",
        ("About 25 percent of the 3400 visitors came from the US and the UK.",),
    ),
    Sentence(
        "Chapter IV begins on page 112, see Fig. 3 below.", ("Chapter 4 begins on page 112, see figure 3 below.",)
    ),
    Sentence(
        "It was -5 °C at night, and 12 km to the nearest town.",
        ("It was minus 5 degrees Celsius at night, and 12 kilometers to the nearest town.",),
    ),
    Sentence(
        "She bought an iPhone on eBay for £499.99 in 2019.",
        ("She bought an iPhone on eBay for 499 pounds and 99 pence in 2019.",),
    ),
    Sentence("NASA and the BBC agreed, but YouTube did not.", ()),
    Sentence(
        "Call 555-0199 after 6 p.m. on Monday.",
        ("Call 5550199 after 6 pm on Monday.", "Call 555 0199 after 6 pm on Monday."),
    ),
    Sentence("WARNING: do NOT open the door before 7:05.", ("Warning, do not open the door before 705.",)),
    Sentence(
        "The train leaves at 18:45 and arrives at 21:10, i.e. after more than two hours.",
        ("The train leaves at 1845 and arrives at 2110, that is, after more than two hours.",),
    ),
    Sentence(
        "Johnson & Sons Ltd. sold 1.5 million units, approx. 10-15 per customer.",
        ("Johnson and Sons Limited sold 1.5 million units, approximately 10 to 15 per customer.",),
    ),
    Sentence(
        "King Henry VIII had six wives, and World War II ended in 1945.",
        (
            "King Henry the 8th had six wives, and World War 2 ended in 1945.",
            "King Henry VIII had six wives, and World War 2 ended in 1945.",
        ),
    ),
    Sentence(
        "His salary rose from $40k to $52,000 a year.",
        (
            "His salary rose from 40 thousand dollars to 52000 dollars a year.",
            "His salary rose from $40,000 to $52,000 a year.",
        ),
    ),
    Sentence(
        "The 1st, 2nd and 23rd of May are holidays, etc.",
        ("The first, second and 23rd of May are holidays, et cetera.",),
    ),
    Sentence(
        "Mix 1/2 cup of sugar with 250 ml of milk.",
        (
            "Mix one half cup of sugar with 250 milliliters of milk.",
            "Mix 1.5 cup of sugar with 250 milliliters of milk.",
        ),
    ),
    Sentence("Is it ready? No, it isn't ready yet: wait until tomorrow!", ()),
    Sentence(
        "Prof. McDonald lives at 42 Oak Ave., next to the old mill.",
        ("Professor McDonald lives at 42 Oak Avenue, next to the old mill.",),
    ),
)

_SPELLED = EnglishTextNormalizer()
_PAIR = re.compile(r"(?<=\d)[.:](?=\d\d(?!\d))")
_HALF = re.compile(r"(?<=\d)\s*([ap])\.?m\b\.?")


def words(text: str) -> list[str]:
    """In one spelling; hours and minutes, cents too, by themselves, whatever stands between them."""
    plain = _HALF.sub(r" \1m", _PAIR.sub(" ", text))
    spelled: str = _SPELLED(plain)
    return spelled.split()


def wrong_words(sentence: Sentence, heard: str) -> tuple[int, int]:
    """Errors against the nearest way, and how many words that has."""
    found = words(heard)
    ways = [words(way) for way in (sentence.written, *sentence.ways)]
    return min((word_errors(way, found).all, len(way)) for way in ways)
