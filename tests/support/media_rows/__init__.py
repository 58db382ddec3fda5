"""Recordings as people really have them, each with what is to be heard in it, and when, for `tests/api/test_media_rows.py`."""
