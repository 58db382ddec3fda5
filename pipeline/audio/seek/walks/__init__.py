"""Walks from unit to unit of what a container holds, counting the samples that they bring."""
