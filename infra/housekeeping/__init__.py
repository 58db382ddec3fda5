"""What keeps an installation from growing for ever: orphans in the store, rows past their time, old entries of the ledger."""
