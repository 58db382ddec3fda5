"""The parts of the webhook store, and the sending; `infra.webhooks` is the whole."""
