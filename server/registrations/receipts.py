"""Receipts: whoever has one finds and changes a registration."""

from datetime import datetime

import msgspec

from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.districts import District
from server.core.errors import Refusal
from server.core.keys import registration_no
from server.core.open_hours import check_open_hours
from server.core.tokens import Forged, Signer, Token, TokenKind
from server.registrations.views import RegistrationView

# A receipt outlives the campaign; whoever loses it gets a new one by SMS code.
_RECEIPT_SECONDS = 400 * 86_400


class Registered(RegistrationView):
    """What `POST /registrations` answers: the registration and the receipt that opens it again."""

    receipt: str
    receipt_qr_svg_url: str


class Receipts:
    """Gives receipts out and reads them.

    Args:
        city: districts, the hours in which residents can log in.
        clock: city time.
        signer: signs them.
    """

    def __init__(self, city: City, clock: Clock, signer: Signer) -> None:
        self._city = city
        self._clock = clock
        self._signer = signer

    def read(self, no: str, text: str | bytes) -> tuple[Token, District]:
        """The receipt of this number and its district.

        Raises:
            Refusal: `maintenance`, `forged`, `expired`, `not-found`: another one's.
        """
        check_open_hours(self._city, self._now())
        try:
            token = self._signer.read(TokenKind.RECEIPT, text)
        except Forged:
            raise Refusal("forged") from None
        if token.expires_s * 1000 <= self._clock.now_ms():
            raise Refusal("expired", state=None)
        district = self._city.district(token.district)
        # Whoever holds one receipt learns nothing about other numbers, not even whether they exist.
        if district is None or no != registration_no(district.no, token.day, token.entry, token.window):
            raise Refusal("not-found")
        return token, district

    def add(self, view: RegistrationView, token: Token, issued_ms: int) -> Registered:
        """A registration with a receipt, which names the same place as the token."""
        expires_s = issued_ms // 1000 + _RECEIPT_SECONDS
        receipt = Token(token.district, token.day, token.entry, token.resident, expires_s, window=token.window)
        return Registered(
            **msgspec.structs.asdict(view),
            receipt=self._signer.sign(TokenKind.RECEIPT, receipt),
            receipt_qr_svg_url=f"/api/v1/registrations/{view.registration_no}/qr.svg",
        )

    def _now(self) -> datetime:
        return from_ms(self._clock.now_ms(), self._city.tz)
