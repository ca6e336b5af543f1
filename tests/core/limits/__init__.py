"""Limits: how much of everything there may be."""
