"""What each account may have of what all share: so many requests in a time, and a share of what works for them."""
