"""The chunks' transcripts into one, nothing lost, nothing twice."""
