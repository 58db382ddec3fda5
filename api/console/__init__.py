"""The console: pages for people, and an ordinary client of /v1 behind a session."""
