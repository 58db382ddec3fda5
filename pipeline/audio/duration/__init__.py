"""How long a recording lasts, counted frame by frame or guessed; one file per container."""
