"""Whisper by faster-whisper and CTranslate2: its settings, and what lives in its engine process."""
