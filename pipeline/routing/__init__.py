"""Who of a model's routes is asked, and who next."""
