"""The weights that local engines need: what they are made of, where they lie, and whether they are whole."""
