"""How a secret that was handed out once is kept: as its SHA-256, of no use to whoever reads the database.

Only for long random secrets (sessions, tokens). What people think up is hashed slowly, in ``accounts``.
"""

import hashlib


def hashed(secret: str) -> str:
    """The 64 hexadecimal digits that are stored in the secret's place."""
    return hashlib.sha256(secret.encode()).hexdigest()
