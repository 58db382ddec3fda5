"""The only way out to URLs that a user gave us, guarded against SSRF."""
