"""Written words: spoken texts split, words matched and timed, paragraphs, speakers, search."""
