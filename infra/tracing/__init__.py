"""One trace through all processes, from the request that made a job to the webhook about its end."""
