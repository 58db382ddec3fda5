"""A batch's way: its input read, its lines made jobs, its output written; no Celery inside."""
