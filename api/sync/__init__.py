"""A synchronous request, from the hold on its money to the last byte of its answer."""
