"""Thousands of requests in one: batches, their lines as rows, and the lines as jobs a few at a time."""
