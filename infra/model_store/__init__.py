"""Installs weights: fetched from a registry, a hub or an operator's folder, checked against their hashes, put in place whole."""
