"""A Whisper model of half a megabyte, made from nothing: real CTranslate2 weights whose decoder knows one sentence by heart.

Every token has a direction of its own, and the projection answers each direction with the token that comes next. Encoder and
cross-attention are random (seeded) and have no say in the text, only in when its words are said.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HEARD = (" brown", " river.", " Seven", " foxes", " sing.")
TRANSLATED = (" garden", " of", " oceans.")
LOOP = (" na",)
LANGUAGES = _LANGUAGE_CODES[:99]

_WIDTH, _HEADS, _MELS = 32, 2, 80
_SPECIAL = (
    *(
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{code}|>" for code in LANGUAGES),
        "<|translate|>",
        "<|transcribe|>",
    ),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
_TIMES = tuple(f"<|{0.02 * number:.2f}|>" for number in range(1501))
_TRANSLATING = _WIDTH - 1  # the dimension that says which task it is


def build(
    folder: Path,
    *,
    language: str = "de",
    says: str = "sentence",
    certainty: float = 4.0,
    silence: float = 0.0,
    multilingual: bool = True,
) -> Path:
    """Write a model. `says` is "sentence", "loop" or "nothing"; `certainty` below 1.9 is unsure of each word.

    `silence` above 5 makes every sound look like no speech.
    """
    folder.mkdir(parents=True)
    tokens = _tokens()
    if not multilingual:
        tokens[tokens.index("")] = "unused"  # CTranslate2 knows a multilingual model by the empty token
    spec = WhisperSpec(1, _HEADS, 1, _HEADS)
    random = np.random.default_rng(7)
    _fill(spec, random)
    _teach(spec.decoder, tokens, language=language, says=says, certainty=certainty, silence=silence)
    spec.config.lang_ids = [tokens.index(f"<|{code}|>") for code in LANGUAGES]
    spec.config.alignment_heads = [[0, 0], [0, 1]]
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.register_vocabulary(tokens)
    spec.validate()
    spec.save(str(folder))
    _write_tokenizer(folder, tokens)
    extractor = {"feature_size": _MELS, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor))
    return folder


def _tokens() -> list[str]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word.replace(" ", "Ġ") for word in (*HEARD, *TRANSLATED, *LOOP)]
    return [*letters, *words, "", *_SPECIAL, *_TIMES]


def _fill(spec: WhisperSpec, random: np.random.Generator) -> None:
    def weights(*shape: int) -> Any:
        return random.normal(0, 0.3, shape).astype(np.float32)

    def linear(layer: Any, rows: int, columns: int, *, mute: bool = False) -> None:
        layer.weight = weights(rows, columns) * (not mute)
        layer.bias = np.zeros(rows, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(_WIDTH, np.float32), np.zeros(_WIDTH, np.float32)

    d = _WIDTH
    for conv, taken in ((spec.encoder.conv1, _MELS), (spec.encoder.conv2, d)):
        conv.weight, conv.bias = weights(d, taken, 3), np.zeros(d, np.float32)
    spec.encoder.position_encodings.encodings = weights(1500, d)
    spec.decoder.position_encodings.encodings = np.zeros((448, d), np.float32)
    norm(spec.encoder.layer_norm)
    norm(spec.decoder.layer_norm)
    for layer, mute in ((spec.encoder.layer[0], False), (spec.decoder.layer[0], True)):
        linear(layer.self_attention.linear[0], 3 * d, d, mute=mute)
        linear(layer.self_attention.linear[1], d, d, mute=mute)
        linear(layer.ffn.linear_0, 4 * d, d)
        linear(layer.ffn.linear_1, d, 4 * d, mute=mute)
        norm(layer.self_attention.layer_norm)
        norm(layer.ffn.layer_norm)
    across = spec.decoder.layer[0].attention
    linear(across.linear[0], d, d)
    linear(across.linear[1], 2 * d, d)
    linear(across.linear[2], d, d, mute=True)
    norm(across.layer_norm)


def _teach(decoder: Any, tokens: list[str], *, language: str, says: str, certainty: float, silence: float) -> None:
    number = {token.replace("Ġ", " "): at for at, token in enumerate(tokens)}
    start, end, quiet = (number[f"<|{name}|>"] for name in ("startoftranscript", "endoftext", "nospeech"))
    begin, translate = number["<|notimestamps|>"], number["<|translate|>"]
    heard = [begin, *(number[word] for word in {"sentence": HEARD, "loop": LOOP, "nothing": ("Ċ",)}[says])]
    translated = [begin, *(number[word] for word in TRANSLATED)]
    embedding = np.zeros((len(tokens), _WIDTH), np.float32)
    for dimension, token in enumerate([start, translate, *heard, *translated[1:]]):
        embedding[token, dimension] = 1
    embedding[-len(_TIMES) :] = embedding[begin]  # after a time the sentence begins as well
    projection = np.zeros_like(embedding)
    projection[number[f"<|{language}|>"]] = 4 * embedding[start]
    projection[quiet] = silence * embedding[start]
    for chain in (heard, translated):
        for before, after in pairwise([*chain, number[LOOP[0]] if says == "loop" else end]):
            projection[after] += certainty * embedding[before]
    for first, sign in ((heard[1:2], -2.0), (translated[1:2], 2.0)):
        projection[first, _TRANSLATING] = sign
    decoder.embeddings.weight, decoder.projection.weight = embedding, projection
    _tell_the_task(decoder.layer[0].self_attention, embedding[translate])


def _tell_the_task(attention: Any, translate: Any) -> None:
    """All tokens look at all before them alike, and what they see of <|translate|> goes to the dimension of the task."""
    values = attention.linear[0].weight[2 * _WIDTH :]
    values[0] = translate
    attention.linear[1].weight[_TRANSLATING, 0] = 2.0


def _write_tokenizer(folder: Path, tokens: list[str]) -> None:
    ordinary = tokens[: -len(_SPECIAL) - len(_TIMES)]
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(ordinary)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in _TIMES])
    assert tokenizer.token_to_id("<|0.00|>") == len(tokens) - len(_TIMES)
    tokenizer.save(str(folder / "tokenizer.json"))
