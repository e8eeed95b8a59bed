"""Names, phone numbers and seeds at rest: AES-256-GCM, bound to the person, the opening or the night they belong to.

What is encrypted says with its first byte which secret it needs, so that secrets can be changed one by one
(`jiaohao reseal`). Nothing here is ever logged.
"""

import hmac
import os
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from server.core.keys import fingerprint

_NONCE_BYTES: Final = 12
_PHONE_DIGITS: Final = 11
# Bound in with the person, so that one kind of text never passes for the other.
_TEXT: Final = b" text"
# Between the name and what follows it: no normalised name has one.
_AFTER_NAME: Final = "\x1f"


class Contact(msgspec.Struct, frozen=True):
    """How to reach and address a person; both checked and normalised (papers.py), so a phone has 11 digits.

    `id_last`: the last characters of their ID number, for a desk to compare with the card; empty in what versions
    before have encrypted.
    """

    name: str
    phone: str
    id_last: str = ""


ID_LAST_CHARACTERS: Final = 4
"""So many characters of an ID number are kept, encrypted beside the name."""


class Unreadable(Exception):
    """Encrypted with a secret that we have not got, damaged, or for something else; the key id alone is named."""


class _Keys:
    """Keys for one purpose, derived from the secrets: the current one encrypts, and each decrypts what it encrypted.

    What they make is the key's id (1 byte), a nonce (12), ciphertext and tag (16).
    """

    def __init__(self, secrets: Sequence[bytes], purpose: bytes) -> None:
        self._keys = {fingerprint(s): AESGCM(hmac.digest(s, purpose, "sha256")) for s in reversed(secrets)}
        self.current_id = fingerprint(secrets[0])
        self._prefix = bytes([self.current_id])
        self._current = self._keys[self.current_id]

    def encrypt(self, bound_to: bytes, plain: bytes) -> bytes:
        # Random nonces are safe for 2^32 encryptions with one secret: a city's registry a hundred times over.
        nonce = os.urandom(_NONCE_BYTES)
        return self._prefix + nonce + self._current.encrypt(nonce, plain, bound_to)

    def decrypt(self, bound_to: bytes, encrypted: bytes) -> bytes:
        if not encrypted:
            raise Unreadable("nothing is encrypted here")
        key_id = encrypted[0]
        key = self._keys.get(key_id)
        if key is None:
            raise Unreadable(f"key id {key_id} is none of JIAOHAO_SECRET and JIAOHAO_PREVIOUS_SECRETS")
        try:
            return key.decrypt(encrypted[1 : 1 + _NONCE_BYTES], encrypted[1 + _NONCE_BYTES :], bound_to)
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise Unreadable(f"key id {key_id}: damaged, or encrypted for something else") from None


class Cipher:
    """Encrypts and decrypts with keys derived from the process's secrets.

    Args:
        secrets: 32-byte secrets, the current one first. What an earlier one has encrypted can still be decrypted.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = _Keys(secrets, b"jiaohao contact")

    def encrypt(self, resident: bytes, contact: Contact) -> bytes:
        """Key id (1 byte), nonce (12), ciphertext and tag (16); it is decrypted for `resident` (their key) alone."""
        after = _AFTER_NAME + contact.id_last if contact.id_last or _AFTER_NAME in contact.name else ""
        return self._encrypt(resident, contact.phone + contact.name + after)

    def decrypt(self, resident: bytes, encrypted: bytes) -> Contact:
        """What `encrypt` made for this resident.

        Raises:
            Unreadable: it cannot be decrypted.
        """
        text = self._decrypt(resident, encrypted)
        phone, rest = text[:_PHONE_DIGITS], text[_PHONE_DIGITS:]
        name, is_told, id_last = rest.rpartition(_AFTER_NAME)
        return Contact(name, phone, id_last) if is_told else Contact(rest, phone)

    def encrypt_text(self, resident: bytes, text: str) -> bytes:
        """Encrypt another short text of a resident; it is never decrypted as a contact."""
        return self._encrypt(resident + _TEXT, text)

    def decrypt_text(self, resident: bytes, encrypted: bytes) -> str:
        """What `encrypt_text` made for this resident.

        Raises:
            Unreadable: it cannot be decrypted.
        """
        return self._decrypt(resident + _TEXT, encrypted)

    def is_stale(self, encrypted: bytes) -> bool:
        """Whether it was encrypted with another secret than the current one; nothing at all is not stale."""
        return bool(encrypted) and encrypted[0] != self._keys.current_id

    def _encrypt(self, bound_to: bytes, text: str) -> bytes:
        return self._keys.encrypt(bound_to, text.encode())

    def _decrypt(self, bound_to: bytes, encrypted: bytes) -> str:
        try:
            return self._keys.decrypt(bound_to, encrypted).decode()
        except UnicodeDecodeError:
            raise Unreadable(f"key id {encrypted[0]}: no text") from None


def blocks_under(key: bytes, blocks: bytes) -> bytes:
    """Each block of 16 bytes under AES: what nobody without the key of 32 bytes can tell from chance.

    For blocks that are all different, as numbers are; it is no way to encrypt texts.
    """
    encryptor = BlockCipher(AES(key), ECB()).encryptor()  # noqa: S305 - each block stands for itself alone
    return encryptor.update(blocks) + encryptor.finalize()


class SeedCipher:
    """Seals the seeds of draws and nights until they are revealed: who can read the store knows none of them before.

    Args:
        secrets: 32-byte secrets, the current one first. What an earlier one has sealed can still be opened.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = _Keys(secrets, b"jiaohao seed")

    def seal(self, of: str, seed: bytes) -> str:
        """Hex: key id (1 byte), nonce (12), ciphertext and tag (16). `of`: what it is the seed of, to open it again."""
        return self._keys.encrypt(of.encode(), seed).hex()

    def unseal(self, of: str, sealed: str) -> bytes:
        """The seed that `seal` was given.

        Raises:
            Unreadable: it cannot be opened with our secrets, or is of something else.
        """
        try:
            return self._keys.decrypt(of.encode(), bytes.fromhex(sealed))
        except ValueError:
            raise Unreadable(f"{of}: what is there is no sealed seed") from None
        except Unreadable as why:
            raise Unreadable(f"{of}: its sealed seed: {why}") from None

    def is_stale(self, sealed: str) -> bool:
        """Whether it was sealed with another secret than the current one."""
        return sealed[:2] != f"{self._keys.current_id:02x}"
