"""Where accounts want their events, and the messages to send there."""

from __future__ import annotations

from infra.webhooks.delivery_queue import Delivery, Outcome, WebhookMessages, Which
from infra.webhooks.endpoints import WebhookEndpoints
from infra.webhooks.event_stream import WebhookListeners
from infra.webhooks.replays import WebhookReplays

__all__ = ["Delivery", "Outcome", "WebhookStore", "Which"]


class WebhookStore(WebhookEndpoints, WebhookMessages, WebhookReplays, WebhookListeners):
    """Endpoints, messages and attempts; each method is one short transaction by the database's clock.

    WebhookEndpoints   create_endpoint, endpoint, endpoints, update_endpoint, delete_endpoint, rotate_secret, send_test, pending,
                       in_trouble
    WebhookMessages    messages, message, due, rung, lost, claim, refuse, record, counts, waiting, forget_receivers
    WebhookReplays     replay, replay_all
    WebhookListeners   listen, overheard, read, still_there, forget_listeners
    """
