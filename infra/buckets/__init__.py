"""Buckets of others that the operator has opened to accounts: who may read and write where, and which recordings are meant."""
