"""A resident's name and phone for those who may see them; what cannot be decrypted is nobody's, and not an error."""

import structlog

from server.core.encryption import Cipher, Contact, Unreadable

log = structlog.get_logger()


def readable_contact(cipher: Cipher, resident: bytes, contact: bytes) -> Contact | None:
    """The contact of a resident; None where it cannot be decrypted, which is logged without saying whose it is."""
    try:
        return cipher.decrypt(resident, contact)
    except Unreadable as error:
        log.warning("contact cannot be read", why=str(error))
        return None
