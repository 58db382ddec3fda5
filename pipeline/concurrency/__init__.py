"""Waiting without a thread, and taking turns: greenlets on the event loop, and what they and threads wait for or share."""
