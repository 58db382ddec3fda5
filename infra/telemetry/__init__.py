"""How an installation is watched: gauges that the database knows, and counters of pool children."""
