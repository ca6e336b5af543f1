"""The door for administrators."""
