"""The models a deployment offers: what each can do, what it costs, and which providers serve it in which order."""
