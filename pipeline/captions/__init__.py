"""Words into captions: cues that a person can read, laid out on time, with their speakers."""
