"""Where decoding may begin in the middle of a recording: only where its place on the clock there is proven."""
