"""The HTTP door: what comes in over HTTP is checked, handed to the floors below, and answered."""
