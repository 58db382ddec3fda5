"""Rows: the schema and its migrations, sessions, and what is peculiar to SQLite."""
