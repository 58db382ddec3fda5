"""The oracle's words and the code each is spoken in.

Every word is eight digits from 0 to 7: a Reed-Solomon code over the field of eight elements, evaluated at all eight of
them, three data digits long. Any two of its 512 codewords differ in at least six digits, so a word of which one digit was
misheard is still that word, and five would have to be wrong to make it another one.
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

DIGITS = 8  # per word, and values per digit
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NAMES = """
above acorn actor after again agent album alley almond alpine amber anchor animal answer apple apron arcade arch
arena arrow artist ashes aspen atlas attic august autumn avenue award bacon badge bagel baker bamboo banjo
banner barley barn basil basket beach beacon bean beard beaver bedroom beetle bell bench berry bicycle birch
bird biscuit blanket blossom blue board bonfire book border bottle boulder bowl branch brass bread breeze brick
bridge bright bronze brook brother brown brush bubble bucket buffalo builder butter button cabin cable cactus
camel camera campus canal candle canoe canvas canyon captain carbon cargo carpet carrot castle cattle cedar
cello center chain chair chalk chapel cheese cherry chess chicken chimney choir cider cinema circle citizen city
clay clever cliff clock cloud clover coast cobalt coffee collar comet common compass copper coral corner cotton
country cousin cradle crane crater crayon cricket crimson crystal cup curtain cushion cycle daisy dancer dawn
debate december deer delta denim desert desk diamond diary dinner doctor dolphin donkey door dragon drawer dream
driver drum eagle early earth east echo editor eggplant eight elbow elder elephant ember engine envelope evening
fabric factory falcon family farmer father feather fence fern ferry fiddle field finger fire five flag flame
flannel flower flute forest fossil fountain four fox frame friend frost fruit funnel galaxy garden garlic gate
ginger giraffe glacier glass globe glove goat gold grain granite grape gravel green grove guitar hallway hammer
harbor harp harvest hat hazel heart hedge hello helmet heron hill history holly honey horse hotel house hunter
iceberg igloo indigo island ivory jacket jasmine jelly jewel journey juice jungle juniper kettle keyboard
kitchen kite kitten ladder lagoon lake lamp lantern laurel lawn leaf leather lemon letter library lily linen
lion lizard lobster locket lotus lumber lunar machine magnet mango maple marble market marsh meadow melody melon
mercury metal midnight mill mineral mint mirror monday moon morning moss mother motor mountain museum music
mustard napkin narrow nectar needle nest night nine noodle north notebook novel nutmeg oak oasis ocean october
office olive one onion orange orbit orchard organ otter owl oyster paddle palace panda paper parade parrot pasta
peach pearl pebble pencil pepper piano picnic pigeon pillow pilot pine planet plaza plum pocket poem polar pond
pony poppy porch potato prairie prism pumpkin puppet purple puzzle quarry quartz queen quilt rabbit radio
railway rain raven recipe ribbon rice ridge river robin rocket rose ruby saddle saffron sailor salmon sand satin
saturday scarf school season secret seven shadow shelf shepherd ship shore silver sister six sketch sky sled
slope snow soap sofa song soup spark sparrow spice spider spinach spoon spring spruce square squirrel stable
stadium stamp star station statue steam stone storm story street studio sugar summer summit sunday sunset swan
sweater table tailor teacher temple tennis theater thimble three thunder ticket tiger timber tomato tower trail
train trumpet tulip tunnel turtle two umbrella uncle valley vanilla velvet world zero
"""
VOCABULARY: tuple[str, ...] = (*string.ascii_lowercase, *_NAMES.split())
_INDEX = {word: index for index, word in enumerate(VOCABULARY)}
_SPEAKABLE = re.compile(r"[a-z]+|[0-9]")


def index_of(word: str) -> int:
    """The word's number. Raises KeyError for a word that is not in VOCABULARY."""
    return _INDEX[word]


@functools.cache
def codes() -> NDArray[np.int8]:
    """(512, 8): the digits of every word."""
    return np.array([_codeword(index) for index in range(len(VOCABULARY))], dtype=np.int8)


def in_vocabulary(text: str) -> Iterator[str]:
    """The text as words of VOCABULARY: an unknown word is spelled letter by letter, a number digit by digit.

    Accents are dropped; what is neither a Latin letter nor a digit is not spoken.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    for token in _SPEAKABLE.findall(plain):
        if token.isdigit():
            yield _NUMBERS[int(token)]
        elif token in _INDEX:
            yield token
        else:
            yield from token


def _codeword(index: int) -> list[int]:
    """The polynomial whose coefficients are the index's three octal digits, at 0, 1, … 7."""
    low, middle, high = index % 8, index // 8 % 8, index // 64
    return [low ^ _times(middle, x) ^ _times(high, _times(x, x)) for x in range(DIGITS)]


def _times(a: int, b: int) -> int:
    """The product in GF(8) with the polynomial x³ + x + 1."""
    product = 0
    for bit in range(3):
        if b >> bit & 1:
            product ^= a << bit
    for bit in (4, 3):
        if product >> bit & 1:
            product ^= 0b1011 << (bit - 3)
    return product
