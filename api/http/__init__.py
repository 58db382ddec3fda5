"""Requests and answers, the same for every route: middleware, bodies, errors, idempotency, server-sent events."""
