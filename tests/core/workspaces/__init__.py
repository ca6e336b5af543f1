"""Workspaces, their members and their tokens."""
