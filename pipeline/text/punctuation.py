"""The marks that end a sentence, and those that may stand behind them."""

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "؟", "।")  # noqa: RUF001 - they are what is meant
CLOSING = "\"')]}»”’」』"  # noqa: RUF001
