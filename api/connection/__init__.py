"""The bytes of a connection as requests: strictly framed, within deadlines, and answered in their order."""
