"""The meaning: audio in, words out; words in, audio out; prices, states, errors. Runs without a server."""
