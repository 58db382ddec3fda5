"""A connection as its bounds see it."""


class Held:
    """One that has shown a key or not, rests or works, and is open until somebody closes it."""

    def __init__(self, *, key: bool = False, idle: bool = True, shielded: bool = False) -> None:
        self.key, self.idle, self.shielded, self.is_open = key, idle, shielded, True

    def has_key(self) -> bool:
        return self.key

    def is_idle(self) -> bool:
        return self.idle

    def is_shielded(self) -> bool:
        return self.shielded

    def close(self) -> None:
        self.is_open = False
