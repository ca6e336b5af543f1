"""Limits: how much of everything a workspace and a person may have, and how much is sent in a day."""
