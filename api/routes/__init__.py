"""The paths, by what a caller is after."""
