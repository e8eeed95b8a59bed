"""Who may do what at a site: tokens of the desk, and the operator's."""

import secrets
from datetime import date
from enum import IntEnum
from hmac import compare_digest

import msgspec

from server.appointments.sites import Site, Sites
from server.core.clock import Clock
from server.core.errors import Refusal
from server.core.tokens import Forged, Signer, Token, TokenKind


class Role(IntEnum):
    """What a staff token permits: the desk sees the roster and checks people in; the manager may close the site too."""

    DESK = 1
    MANAGER = 2


class Staff(msgspec.Struct, frozen=True):
    """Somebody who may act on appointments.

    `site`: the one they work at, None for the operator, who may act on all. `actor`: who, for the audit log.
    `expires_s`: seconds from the epoch, 0 = never.
    """

    actor: str
    role: Role
    site: str | None = None
    expires_s: int = 0

    def check_manager(self) -> None:
        """Raises Refusal `forged`: the token does not permit this."""
        if self.role < Role.MANAGER:
            raise Refusal("forged", reason="role")


class StaffTokens:
    """Gives out staff tokens and reads them.

    Args:
        signer: signs them.
        clock: city time.
        sites: the city's sites.
        operator_token: the operator's secret.
    """

    def __init__(self, signer: Signer, clock: Clock, sites: Sites, operator_token: str) -> None:
        self._signer = signer
        self._clock = clock
        self._sites = sites
        self._operator_token = operator_token.encode()

    def token(self, site: str, role: Role, today: date, expires_s: int) -> tuple[str, str]:
        """(token, actor): a new token of a site, and how the audit log will name its holder."""
        holder = secrets.token_bytes(16)
        text = self._signer.sign(TokenKind.STAFF, Token(site, today, int(role), holder, expires_s))
        return text, _actor(site, holder)

    def is_operator(self, text: str | bytes) -> bool:
        """Whether this is the operator's token."""
        data = text.encode() if isinstance(text, str) else text
        return compare_digest(data, self._operator_token)

    def read(self, text: str | bytes) -> Staff:
        """Who this is.

        Raises:
            Refusal: `forged`, `expired`.
        """
        if self.is_operator(text):
            return Staff("operator", Role.MANAGER)
        try:
            token = self._signer.read(TokenKind.STAFF, text)
            role = Role(token.entry)
        except (Forged, ValueError):
            raise Refusal("forged") from None
        if token.expires_s * 1000 <= self._clock.now_ms():
            raise Refusal("expired", reason="staff-token")
        return Staff(_actor(token.district, token.resident), role, token.district, token.expires_s)

    async def site_of(self, staff: Staff, site: str) -> Site:
        """A site that they may see.

        Raises:
            Refusal: `not-found`: there is none, or it is another one; which of the two is not for them to know.
        """
        if staff.site is not None and staff.site != site:
            raise Refusal("not-found")
        return await self._sites.find(site)


def _actor(site: str, holder: bytes) -> str:
    return f"{site}/{holder[:4].hex()}"
