"""A pass for services that are not ours: a JWT signed with Ed25519, which anybody checks by our public keys alone.

Whatever stands behind the waiting room (a web shop, a form of another office) lets in who shows one, and never asks us.
The format is RFC 7519's with RFC 8037's keys; it names nobody.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.core.tokens import Token

_PURPOSE: Final = b"jiaohao pass token"
_SUBJECT: Final = b"jiaohao pass subject"
_SUBJECT_BYTES: Final = 16


class _Key(NamedTuple):
    kid: str
    private: Ed25519PrivateKey
    public: str  # base64url


class PassTokens:
    """Makes them, and tells what they are checked by.

    Args:
        issuer: as `iss`; the city's name for what it signs.
        secrets: of the service, the current one first: of each there is a key, so that a rotation breaks no pass.
        pepper: who has the pass is made of it, so that the same person is the same subject after a rotation.
    """

    def __init__(self, issuer: str, secrets: Sequence[bytes], pepper: bytes) -> None:
        self._issuer = issuer
        self._keys = [_key(secret) for secret in secrets]
        self._pepper = pepper

    def token(self, of: Token, now_s: int) -> str:
        """The JWT of a pass that was read and has not lapsed.

        Args:
            of: the pass.
            now_s: city time, in seconds.
        """
        subject = hmac.digest(self._pepper, _SUBJECT + of.resident, "sha256")[:_SUBJECT_BYTES]
        place = f"{of.district}:{of.day.isoformat()}:{of.window}:{of.entry}"
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": _text(subject),
            "jti": _text(hashlib.sha256(place.encode() + subject).digest()[:_SUBJECT_BYTES]),
            "district": of.district,
            "date": of.day.isoformat(),
            "iat": now_s,
            "exp": of.expires_s,
        }
        key = self._keys[0]
        return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid})

    def key_set(self) -> list[dict[str, str]]:
        """The public keys as RFC 7517 has them, the one that signs first.

        `alg` is left out: Envoy 1.40 and PyJWT 2.15 cannot read the name that RFC 9864 gives it.
        """
        return [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": key.kid, "x": key.public} for key in self._keys]


def _key(secret: bytes) -> _Key:
    private = Ed25519PrivateKey.from_private_bytes(hmac.digest(secret, _PURPOSE, "sha256"))
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _Key(_text(hashlib.sha256(raw).digest()[:8]), private, _text(raw))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
