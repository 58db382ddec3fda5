"""A file on its way in: multipart bytes into fields, and a file into memory or storage."""
