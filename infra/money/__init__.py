"""Balances, the ledger, receipts, quotas, and the books about them."""
