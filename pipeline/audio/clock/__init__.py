"""Decoded frames with their time stamps in, samples on the clock of the recording out, with all that is missing between them."""
