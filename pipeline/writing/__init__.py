"""How text is written down and looked through: scripts, languages, turns, paragraphs, words for captions."""
