"""Where accounts want their events, and the messages to send there."""

from __future__ import annotations

from infra.webhook.endpoints import WebhookEndpoints
from infra.webhook.messages import Delivery, Outcome, WebhookMessages

__all__ = ["Delivery", "Outcome", "WebhookStore"]


class WebhookStore(WebhookEndpoints, WebhookMessages):
    """Endpoints, messages and attempts; each method is one short transaction by the database's clock.

    WebhookEndpoints   create_endpoint, endpoint, endpoints, update_endpoint, delete_endpoint, rotate_secret, send_test
    WebhookMessages    messages, message, due, claim_due, record, replay, counts
    """
