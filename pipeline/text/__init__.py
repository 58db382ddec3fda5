"""Written words: spacing by script, words matched, paragraphs, speakers, search, words for captions."""
