"""One run of `stenopool bulk`: who hears, what there is, until it ends or is stopped."""
