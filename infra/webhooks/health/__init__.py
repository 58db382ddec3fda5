"""How well endpoints take what is sent to them: since when they fail, and those of all accounts that do."""
