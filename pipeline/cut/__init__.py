"""A stream of samples in, chunks out, cut in pauses: voice activity detection (VAD) and where to cut."""
