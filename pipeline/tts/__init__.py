"""Text read aloud (TTS): a passage spoken with its sentences in time, and passages laid end to end."""
