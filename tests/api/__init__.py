"""The door for runners."""
