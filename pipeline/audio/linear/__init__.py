"""Linear samples, which have no frames of their own: where each of them begins in a damaged file, by how their bytes change."""
