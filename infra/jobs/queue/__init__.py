"""The order in which work is claimed, fair between accounts, and what is told of it."""
