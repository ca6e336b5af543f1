"""The core, called as the doors call it."""
