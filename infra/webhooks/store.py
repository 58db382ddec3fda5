"""Where accounts want their events, and the messages to send there."""

from __future__ import annotations

from infra.webhooks.delivery_queue import Delivery, Outcome, WebhookMessages
from infra.webhooks.endpoints import WebhookEndpoints

__all__ = ["Delivery", "Outcome", "WebhookStore"]


class WebhookStore(WebhookEndpoints, WebhookMessages):
    """Endpoints, messages and attempts; each method is one short transaction by the database's clock.

    WebhookEndpoints   create_endpoint, endpoint, endpoints, update_endpoint, delete_endpoint, rotate_secret, send_test
    WebhookMessages    messages, message, due, rung, lost, claim, refuse, record, replay, counts, waiting, forget_receivers
    """
