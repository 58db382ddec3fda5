"""Who said what: voices as numbers, told apart once all of a recording is known, and words given to them."""
