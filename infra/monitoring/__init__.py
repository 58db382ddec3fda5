"""What an operator's tools ask a process, on a listener of its own."""
