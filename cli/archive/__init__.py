"""A whole archive heard once: what is known of each recording, who hears it, where its outputs go, and what it all came to."""
