"""Text read aloud: utterances with their words in time, recitals, the whole reading."""
