"""The synchronous endpoints of OpenAI's audio API."""
