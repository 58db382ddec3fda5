"""Speech whose truth is in the signal: words as tones, spoken and read back."""
