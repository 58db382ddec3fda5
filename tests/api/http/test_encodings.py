"""Every way in which SDKs, curl and HTTP libraries write the same request (contract.md section 1.2), in any combination."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.main import create_app
from infra.wiring import Services
from tests.api.conftest import recording
from tests.api.serving import Running, running
from tests.support.accounts import rich

pytestmark = pytest.mark.processes

SOUND, SAID = recording(1.5)
BOUNDARY = "----formdata-undici-0123456789"
Pairs = list[tuple[str, str]]


def _written(name: str, values: list[str]) -> st.SearchStrategy[Pairs]:
    """A list in every form: `name[]`, `name` repeated, `name[0]`, JSON text."""
    return st.sampled_from(
        [
            [(f"{name}[]", value) for value in values],
            [(name, value) for value in values],
            [(f"{name}[{nth}]", value) for nth, value in enumerate(values)],
            [(name, json.dumps(values))],
        ]
    )


NO_GRANULARITIES: list[Pairs] = [[], [("timestamp_granularities", "null")], [("timestamp_granularities", "")]]
GRANULARITIES = st.one_of(
    st.tuples(st.just({"segment"}), st.sampled_from(NO_GRANULARITIES)),
    *(
        st.tuples(st.just(set(some)), _written("timestamp_granularities", list(some)))
        for some in (("word",), ("segment",), ("word", "segment"))
    ),
)
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300}
OTHERS: dict[str, list[Pairs]] = {
    "chunking_strategy": [
        [],
        [("chunking_strategy", "auto")],
        [("chunking_strategy", "null")],
        [("chunking_strategy", json.dumps(VAD))],
        [(f"chunking_strategy[{key}]", str(value)) for key, value in VAD.items()],
    ],
    "stream": [[], *([("stream", word)] for word in ("false", "False", "0", "null", ""))],
    "temperature": [[], *([("temperature", number)] for number in ("0", "0.0", "0.2", "1", "null"))],
    "language": [[], *([("language", code)] for code in ("en", "EN", "en-US", "null", ""))],
    "include": [[], [("include", "null")], [("include", "logprobs")], [("include[]", "logprobs")]],
    "prompt": [[], [("prompt", "null")], [("prompt", "Straße „x“ → \r\n")]],
    "unknown": [[], [("keywords[]", "a"), ("keywords[]", "b")], [("x[y][]", "1")], [("known_speaker_names", "null")]],
}
NAMES = ["talk.wav", "upload", "blob", "unknown_file", "", "wrong.mp3", "Größe %22a%22.wav", "../../x"]
TYPES = ["", "audio/x-wav", "application/octet-stream"]


def _part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


@dataclass
class Form:
    """A request: its fields in order, where among them the file stands, in blocks of how many bytes it is sent."""

    asked: set[str]  # granularities
    fields: Pairs
    filename: str
    kind: str
    at: int
    size: int  # 0: whole, with its length

    def body(self) -> bytes:
        parts = [_part(name, value.encode()) for name, value in self.fields]
        head = f'; filename="{self.filename}"' + (f"\r\nContent-Type: {self.kind}" if self.kind else "")
        parts.insert(self.at, _part("file", SOUND, head))
        return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()

    def content(self) -> bytes | Iterator[bytes]:
        body, size = self.body(), self.size
        return (body[at : at + size] for at in range(0, len(body), size)) if size else body


@st.composite
def forms(draw: st.DrawFn) -> Form:
    asked, granularities = draw(GRANULARITIES)
    groups = [granularities, *(draw(st.sampled_from(choices)) for choices in OTHERS.values())]
    groups += [[("model", "oracle")], [("response_format", "verbose_json")]]
    fields = list(itertools.chain(*draw(st.permutations(groups))))
    at = draw(st.sampled_from([0, len(fields), len(fields) // 2]))
    size = draw(st.sampled_from([0, 0, 1000, 65_536]))
    return Form(asked, fields, draw(st.sampled_from(NAMES)), draw(st.sampled_from(TYPES)), at, size)


@pytest.fixture(scope="module")
def place(services: Services) -> Iterator[Running]:
    with running(create_app(services)) as place:
        yield place


@pytest.fixture(scope="module")
def client(place: Running, services: Services) -> Iterator[httpx2.Client]:
    key, _ = services.accounts.create_key(rich(services.database, "encodings"))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    with httpx2.Client(base_url=place.url, headers=headers, timeout=60) as made:
        yield made


@given(form=forms())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_encoding_means_the_same(client: httpx2.Client, form: Form) -> None:
    answer = client.post("/v1/audio/transcriptions", content=form.content())
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["text"].split() == SAID
    assert {"word"} & form.asked == ({"word"} if "words" in told else set())
    assert {"segment"} & form.asked == ({"segment"} if "segments" in told else set())


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_a_stream_is_asked_for_in_any_spelling(client: httpx2.Client, word: str) -> None:
    parts = [_part("file", SOUND, '; filename=""'), _part("stream", word.encode()), _part("model", b"oracle")]
    answer = client.post("/v1/audio/transcriptions", content=b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp_granularities[]", "syllable"),
        ("timestamp_granularities", '["word"'),
        ("timestamp_granularities[x]", "word"),
        ("temperature", "warm"),
        ("stream", "perhaps"),
        ("chunking_strategy", '{"type"'),
    ],
)
def test_what_means_nothing_is_named(client: httpx2.Client, name: str, value: str) -> None:
    parts = [_part("model", b"oracle"), _part(name, value.encode()), _part("file", SOUND, '; filename="a"')]
    answer = client.post("/v1/audio/transcriptions", content=b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"].startswith(name.split("[", maxsplit=1)[0])
