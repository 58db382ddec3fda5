"""Jobs over HTTP: made, listed, steered, read, estimated."""
