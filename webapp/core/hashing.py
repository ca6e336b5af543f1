"""Hashes the secrets that are handed out once: what is stored is of no use to whoever reads the database.

Only for long random secrets (sessions, tokens). What people think up is hashed slowly, in ``accounts.passwords``.
"""

import hashlib


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret as 64 hexadecimal digits, which are stored in its place."""
    return hashlib.sha256(secret.encode()).hexdigest()
