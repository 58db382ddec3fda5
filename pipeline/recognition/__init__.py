"""A chunk heard: in which language it is asked for, and what is asked once more."""
