"""Waiting without a thread, and taking turns: greenlets on the event loop, what they and threads wait for, and places that owners share."""
