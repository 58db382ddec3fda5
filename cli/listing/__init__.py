"""Which recordings are meant by what a caller names: folders, globs, lists, manifests and buckets, one recording at a time."""
