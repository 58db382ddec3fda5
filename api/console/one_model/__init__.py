"""Models: the list, and a page for each, whose endpoint, samples, prices and trial are those of the task that is chosen."""
