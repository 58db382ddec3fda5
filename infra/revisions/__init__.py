"""Corrections of a transcript: each a revision beside the original, in order, none written over another."""
