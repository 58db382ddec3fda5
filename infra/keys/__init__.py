"""Accounts, their keys, and what a tier and a scope allow."""
