"""The index of an MP4: what it says of each track of sound, and whether all of that can be true."""
