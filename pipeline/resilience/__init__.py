"""Calls to somebody else's machine that fail: deadlines, retries, circuit breakers, fallback routes."""
