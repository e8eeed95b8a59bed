"""Helpers: who may join and register for residents that cannot do it alone, each by a token of their organisation."""

import re
import secrets
from datetime import date
from typing import Final

import msgspec

from server.core.clock import Clock
from server.core.errors import Refusal
from server.core.tokens import Forged, Signer, Token, TokenKind

ORGANISATION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""How an organisation is called in tokens and in the log."""


class Helper(msgspec.Struct, frozen=True):
    """Somebody who helps residents; `actor`: who, for the audit log; `expires_s`: seconds from the epoch."""

    actor: str
    organisation: str
    expires_s: int


class HelperTokens:
    """Gives out helpers' tokens and reads them.

    Args:
        signer: signs them.
        clock: city time.
    """

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock

    def token(self, organisation: str, today: date, expires_s: int) -> tuple[str, str]:
        """(token, actor): a new token of an organisation, and how the audit log will name its holder.

        Raises:
            ValueError: an organisation is called by small letters, digits and hyphens, 32 at most.
        """
        if not ORGANISATION.fullmatch(organisation):
            raise ValueError(organisation)
        holder = secrets.token_bytes(16)
        text = self._signer.sign(TokenKind.HELPER, Token(organisation, today, 0, holder, expires_s))
        return text, _actor(organisation, holder)

    def read(self, text: str | bytes) -> Helper:
        """Who this is.

        Raises:
            Refusal: `forged`, `expired`.
        """
        try:
            token = self._signer.read(TokenKind.HELPER, text)
        except Forged:
            raise Refusal("forged") from None
        if token.expires_s * 1000 <= self._clock.now_ms():
            raise Refusal("expired", reason="staff-token")
        return Helper(_actor(token.district, token.resident), token.district, token.expires_s)


def _actor(organisation: str, holder: bytes) -> str:
    return f"assist/{organisation}/{holder[:4].hex()}"
