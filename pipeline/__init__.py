"""The meaning, which runs without a server: audio in, words out; words in, audio out; prices, states, errors."""
