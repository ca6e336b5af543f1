"""Encrypts the few secrets that the board must be able to read again, with a key derived from the SECRET_KEY.

What is only compared is hashed instead, see ``hashing``.
"""

import base64
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "enc1:"
"""What begins every encrypted text; whatever begins otherwise is from before anything was encrypted."""
_NONCE_SIZE = 12
_PURPOSE = b"callboard: secrets at rest"


class Unreadable(Exception):
    """A text was encrypted with another key, or changed since."""


class Cipher:
    """Encrypts with AES-256-GCM under a key that HKDF derives from a SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
        self._aead = AESGCM(derivation.derive(secret_key.encode()))

    def encrypt(self, content: bytes) -> str:
        """Return an encrypted text, another one each time."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return PREFIX + base64.b64encode(nonce + self._aead.encrypt(nonce, content, None)).decode()

    def decrypt(self, text: str) -> bytes:
        """Return what was encrypted. Raises ``Unreadable``."""
        try:
            data = base64.b64decode(text.removeprefix(PREFIX), validate=True)
            return self._aead.decrypt(data[:_NONCE_SIZE], data[_NONCE_SIZE:], None)
        except (InvalidTag, ValueError):
            raise Unreadable from None


class _CurrentCipher:
    """Gives the core the cipher of the app at work, once ``bind`` has said where it comes from."""

    def __init__(self) -> None:
        self._get_cipher: Callable[[], Cipher] | None = None

    def bind(self, get_cipher: Callable[[], Cipher]) -> None:
        """Take the function that returns the cipher of whatever app is at work."""
        self._get_cipher = get_cipher

    def get(self) -> Cipher:
        """Return the cipher of the app at work. Raises ``RuntimeError`` before ``bind``."""
        if self._get_cipher is None:
            raise RuntimeError("No cipher is bound to the core.")
        return self._get_cipher()


current_cipher = _CurrentCipher()
