"""Text read aloud (TTS): text into passages, passages spoken with their words in time, and laid end to end."""
