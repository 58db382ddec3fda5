"""How the texts of chunks become one: seams, words in time, channels."""
