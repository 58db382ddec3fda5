"""The outside world: settings, database, object store, broker, limits, logs and metrics."""
