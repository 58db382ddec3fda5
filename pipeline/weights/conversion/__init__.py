"""What others publish as a training library's checkpoint, written as the graph that our runtime reads, without that library."""
