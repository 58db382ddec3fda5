"""The messages' door: Celery workers and the scheduler."""
