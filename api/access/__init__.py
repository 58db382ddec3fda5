"""Who may do what, and how often: keys, scopes, the administrator's key, rate limits."""
