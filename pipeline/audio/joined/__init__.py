"""What stands behind a recording in its file: where it ends by its own structure, and what begins there."""
