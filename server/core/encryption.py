"""Names and phone numbers at rest: AES-256-GCM, bound to the person they belong to.

What is sealed says with its first byte which secret it needs, so that secrets can be changed one by one
(`jiaohao reseal`). Nothing here is ever logged.
"""

import hmac
import os
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.core.keys import fingerprint

_NONCE_BYTES: Final = 12
_PHONE_DIGITS: Final = 11
# Bound in with the person, so that one kind of text never passes for the other.
_TEXT: Final = b" text"


class Contact(msgspec.Struct, frozen=True):
    """How to reach and address a person; both checked and normalised (papers.py), so a phone has 11 digits."""

    name: str
    phone: str


class Unreadable(Exception):
    """Sealed with a secret we have not got, damaged, or of somebody else; the message names the key id only."""


class Seal:
    """Seals and opens with keys derived from the process's secrets.

    Args:
        secrets: 32-byte secrets, the current one first. What an earlier one has sealed can still be opened.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = {fingerprint(s): AESGCM(hmac.digest(s, b"jiaohao contact", "sha256")) for s in reversed(secrets)}
        self._key_id = fingerprint(secrets[0])
        self._prefix = bytes([self._key_id])
        self._current = self._keys[self._key_id]

    def close(self, resident: bytes, contact: Contact) -> bytes:
        """Key id (1 byte), nonce (12), ciphertext and tag (16); only `resident` (their key) opens it."""
        return self._close(resident, contact.phone + contact.name)

    def open(self, resident: bytes, sealed: bytes) -> Contact:
        """What `close` has sealed for this resident.

        Raises:
            Unreadable: it cannot be opened.
        """
        text = self._open(resident, sealed)
        return Contact(text[_PHONE_DIGITS:], text[:_PHONE_DIGITS])

    def close_text(self, resident: bytes, text: str) -> bytes:
        """Seal another short text of a resident; it never opens as a contact."""
        return self._close(resident + _TEXT, text)

    def open_text(self, resident: bytes, sealed: bytes) -> str:
        """What `close_text` has sealed for this resident.

        Raises:
            Unreadable: it cannot be opened.
        """
        return self._open(resident + _TEXT, sealed)

    def is_stale(self, sealed: bytes) -> bool:
        """Whether it was sealed with another secret than the current one; nothing at all is not stale."""
        return bool(sealed) and sealed[0] != self._key_id

    def _close(self, bound_to: bytes, text: str) -> bytes:
        # Random nonces are safe for 2^32 sealings with one secret: a city's registry a hundred times over.
        nonce = os.urandom(_NONCE_BYTES)
        return self._prefix + nonce + self._current.encrypt(nonce, text.encode(), bound_to)

    def _open(self, bound_to: bytes, sealed: bytes) -> str:
        if not sealed:
            raise Unreadable("nothing is sealed here")
        key_id = sealed[0]
        key = self._keys.get(key_id)
        if key is None:
            raise Unreadable(f"key id {key_id} is none of JIAOHAO_SECRET and JIAOHAO_PREVIOUS_SECRETS")
        try:
            return key.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], bound_to).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce, or no UTF-8
            raise Unreadable(f"key id {key_id}: damaged, or of somebody else") from None
