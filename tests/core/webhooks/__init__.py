"""Webhooks, from the event to the POST."""
