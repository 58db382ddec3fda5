"""Webhooks: endpoints, the outbox, deliveries and their signatures."""
