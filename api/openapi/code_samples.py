"""Ready-to-run examples for a model and a task, with this server's address in them. The tests run every one of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from string import Template
from urllib.parse import urlsplit

from pipeline.options import Task

_SANE_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")
_HERE = "http://127.0.0.1:8000"

_PYTHON_HEAD = """\
import os
from openai import OpenAI

client = OpenAI(base_url=$base, api_key=os.environ["OPENAI_API_KEY"])
"""
_NODE_HEAD = """\
import fs from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: $base, apiKey: process.env.OPENAI_API_KEY });
"""
_SOURCES: Mapping[Task, Mapping[str, str]] = {
    "transcription": {
        "python": _PYTHON_HEAD
        + """\
with open("talk.mp3", "rb") as file:
    print(client.audio.transcriptions.create(model=$model, file=file).text)
""",
        "node": _NODE_HEAD
        + """\
const heard = await client.audio.transcriptions.create({ model: $model, file: fs.createReadStream("talk.mp3") });
console.log(heard.text);
""",
        "curl": """\
curl --fail-with-body $plain/audio/transcriptions \\
  -H "Authorization: Bearer $$OPENAI_API_KEY" \\
  -F file=@talk.mp3 \\
  -F model=$word
""",
    },
    "translation": {
        "python": _PYTHON_HEAD
        + """\
with open("talk.mp3", "rb") as file:
    print(client.audio.translations.create(model=$model, file=file).text)
""",
        "node": _NODE_HEAD
        + """\
const english = await client.audio.translations.create({ model: $model, file: fs.createReadStream("talk.mp3") });
console.log(english.text);
""",
        "curl": """\
curl --fail-with-body $plain/audio/translations \\
  -H "Authorization: Bearer $$OPENAI_API_KEY" \\
  -F file=@talk.mp3 \\
  -F model=$word
""",
    },
    "speech": {
        "python": _PYTHON_HEAD
        + """\
with client.audio.speech.with_streaming_response.create(
    model=$model, voice=$voice, input="She opened the window and looked at the garden."
) as spoken:
    spoken.stream_to_file("speech.mp3")
""",
        "node": _NODE_HEAD
        + """\
const spoken = await client.audio.speech.create({
  model: $model, voice: $voice, input: "She opened the window and looked at the garden.",
});
fs.writeFileSync("speech.mp3", Buffer.from(await spoken.arrayBuffer()));
""",
        "curl": """\
curl --fail-with-body $plain/audio/speech \\
  -H "Authorization: Bearer $$OPENAI_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": $model, "voice": $voice, "input": "She opened the window and looked at the garden."}' \\
  --output speech.mp3
""",
    },
}
ENDPOINTS: Mapping[Task, str] = {
    "transcription": "/v1/audio/transcriptions",
    "translation": "/v1/audio/translations",
    "speech": "/v1/audio/speech",
}
_QUOTE = str.maketrans({"'": "\\u0027"})  # inside the shell's quotes as well as inside a string of either language


def origin_of(url: str) -> str:
    """Where a request was sent to; of a host that makes no sense, our usual one."""
    parts = urlsplit(url)
    sane = _SANE_HOST.fullmatch(parts.netloc) and parts.scheme in ("http", "https")
    return f"{parts.scheme}://{parts.netloc}" if sane else _HERE


def snippets(base: str, model: str, task: Task, *, voice: str = "alloy") -> dict[str, str]:
    """By language: python, node and curl. They read OPENAI_API_KEY, and talk.mp3 where there is something to hear."""
    values = {
        "plain": base,
        "base": json.dumps(base),
        "model": json.dumps(model).translate(_QUOTE),
        "voice": json.dumps(voice).translate(_QUOTE),
        "word": "'" + model.replace("'", "'\\''") + "'" if re.search(r"[^\w./:@+-]", model) else model,
    }
    return {language: Template(source).substitute(values) for language, source in _SOURCES[task].items()}
