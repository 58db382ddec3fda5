"""Kokoro, a voice of 82 million parameters: text into phonemes, phonemes and a style into sound."""
