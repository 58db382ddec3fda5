"""Speed and memory, measured by hand with `make bench`: every figure is a ratio to a baseline of the same run.

These machines are noisy, so nothing here is a test; each line prints the figure, its baseline and the target it is held to.
"""
