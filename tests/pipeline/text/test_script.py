"""The letters tell the language where they can, and keep silent where they cannot."""

import pytest

from pipeline.text.script import language_by_letters


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Good morning.", ""),
        ("Grüße aus Köln, naïve café!", ""),
        ("42 ... 🎉", ""),
        ("", ""),
        ("He said: Привет", ""),
        ("Привет, John", "ru"),
        ("Доброго дня, як їхати?", "uk"),
        ("你好,世界。", "zh"),
        ("今日は良い天気です", "ja"),
        ("안녕하세요", "ko"),
        ("مرحبا", "ar"),
        ("سلام، چطوری؟", "fa"),
        ("Καλημέρα", "el"),
        ("नमस्ते", "hi"),
        ("\u13a0\u13a1\u13a2", "und"),
    ],
)
def test_the_language_by_the_letters(text: str, language: str) -> None:
    assert language_by_letters(text) == language
