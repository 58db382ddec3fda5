"""Sound files: what they are, how long they last, decoded and encoded."""
