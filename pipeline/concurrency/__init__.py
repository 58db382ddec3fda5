"""Waiting without a thread: greenlets on the event loop, and a semaphore that both they and threads take."""
