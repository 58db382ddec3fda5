"""Bytes in and out, the same for every route: the server, its middleware, bodies, errors, server-sent events."""
