"""Where a recording may be cut: speech, pauses, parts."""
