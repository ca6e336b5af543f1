"""Runners of the clients, each with a real board in another process."""
