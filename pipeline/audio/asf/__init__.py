"""Windows Media (ASF): what its header locks, packets that damage has hit, and zeros where sound should be."""
