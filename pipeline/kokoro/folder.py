"""What lies in the folder of the weights, and what comes out of them."""

from __future__ import annotations

MODEL, STYLES, VOCABULARY = FILES = ("model.onnx", "voices.npz", "vocab.json")
SAMPLE_RATE = 24_000  # Hz
