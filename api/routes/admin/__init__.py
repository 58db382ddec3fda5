"""What only the administrator's key opens."""
