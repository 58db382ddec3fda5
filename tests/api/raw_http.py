"""One request in all the ways in which SDKs, curl and HTTP libraries put it on the wire (contract.md section 1.2)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BOUNDARY = "openai-b07ed1d8-4bb1-4b0f"
Asked = Mapping[str, Any]


@dataclass(frozen=True)
class Encoding:
    """`lists` and `objects` are written with brackets or as JSON text, or lists by a bare name; the file stands `file_at` the
    beginning, the middle or the end; it goes out in blocks of `size` bytes without a length, or whole."""

    lists: str = "brackets"
    objects: str = "brackets"
    file_at: str = "end"
    filename: str = "talk.wav"
    kind: str = "application/octet-stream"
    size: int = 0

    def body(self, fields: Asked, sound: bytes) -> bytes | Iterator[bytes]:
        """The form."""
        parts = [_part(name, value.encode()) for name, value in self._pairs(fields)]
        head = f'; filename="{self.filename}"' + (f"\r\nContent-Type: {self.kind}" if self.kind else "")
        at = {"start": 0, "middle": len(parts) // 2, "end": len(parts)}[self.file_at]
        parts.insert(at, _part("file", sound, head))
        whole, size = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), self.size
        return (whole[start : start + size] for start in range(0, len(whole), size)) if size else whole

    def _pairs(self, fields: Asked) -> Iterator[tuple[str, str]]:
        for name, value in fields.items():
            if isinstance(value, list):
                yield from self._list(name, value)
            elif isinstance(value, dict):
                yield from self._object(name, value)
            else:
                yield name, str(value).lower() if isinstance(value, bool) else str(value)

    def _list(self, name: str, values: list[str]) -> Iterator[tuple[str, str]]:
        if self.lists == "json":
            yield name, json.dumps(values)
            return
        for value in values:
            yield name + ("[]" if self.lists == "brackets" else ""), value

    def _object(self, name: str, value: Asked) -> Iterator[tuple[str, str]]:
        if self.objects == "json":
            yield name, json.dumps(value)
            return
        for key, inner in value.items():
            yield f"{name}[{key}]", str(inner)


def _part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


ENCODINGS = {
    "sdk for python": Encoding(kind="audio/x-wav"),
    "sdk for python, bytes": Encoding(filename="upload"),
    "sdk for node, a stream": Encoding(file_at="start", size=16_384),
    "sdk for node, a blob": Encoding(file_at="start", filename="blob", kind=""),
    "curl": Encoding(lists="bare", objects="json", file_at="start", kind="audio/wav"),
    "json text": Encoding(lists="json", objects="json", file_at="middle", filename="unknown_file"),
    "nameless, in pieces": Encoding(lists="bare", file_at="middle", filename="", size=4096),
}
