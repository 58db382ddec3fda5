"""Every role restarted under load: `make rolling`, and a short version of it in CI (tests/e2e/test_rolling.py)."""
