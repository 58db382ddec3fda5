"""The steps of a job and of a webhook delivery, with no Celery inside."""
