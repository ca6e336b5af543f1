"""Queue engines as their users set them up, one file each. See ``engine.py``."""
