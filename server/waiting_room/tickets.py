"""Tickets: signed proof of a place in one of today's openings."""

from server.core.errors import Refusal
from server.core.tokens import Forged, Signer, Token, TokenKind
from server.waiting_room.opening import Opening
from server.waiting_room.openings import Openings


class Tickets:
    """Gives tickets out and reads them back.

    Args:
        signer: signs them.
        openings: those of today.
    """

    def __init__(self, signer: Signer, openings: Openings) -> None:
        self._signer = signer
        self._today = openings.today

    def issue(self, opening: Opening, entry: int, resident: bytes) -> str:
        """The ticket of a place, good until the end of the opening's day."""
        token = Token(
            opening.district.code, opening.day, entry, resident, opening.tickets_expire_s, window=opening.window
        )
        return self._signer.sign(TokenKind.TICKET, token)

    def read(self, text: str | bytes) -> tuple[Token, Opening]:
        """A ticket and the opening it is for.

        Raises:
            Refusal: `forged`, or `expired` when it is another day's.
        """
        try:
            token = self._signer.read(TokenKind.TICKET, text)
        except Forged:
            raise Refusal("forged") from None
        openings = self._today.get(token.district)  # as `Openings.of`, without the call: every poll comes this way
        if openings is None or token.day != openings[0].day or token.window > len(openings):
            raise Refusal("expired")
        return token, openings[token.window - 1]
