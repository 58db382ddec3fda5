"""Why a part that is needed does not answer, in words, with the one thing to do about it."""
