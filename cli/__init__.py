"""The command line: one file per command, found by its name; beside them what they share."""
