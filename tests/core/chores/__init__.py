"""What the board does by itself."""
