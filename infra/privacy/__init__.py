"""An account that wants to be forgotten is, and a receipt says what was removed."""
