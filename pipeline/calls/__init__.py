"""Calls to somebody else's machine: their deadlines, tries and circuits."""
