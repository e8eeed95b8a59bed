"""The city of `costs`, its two districts, and the requests of its residents."""

from datetime import date
from pathlib import Path

import msgspec

from loadtests.bench import http as over_http
from loadtests.bench.drive import request
from server.core.city import SHIPPED_CITY
from server.core.keys import Pepper, registration_no
from server.core.settings import Settings
from server.core.tokens import Signer, Token, TokenKind

WAITING = over_http.DISTRICT
"""Here people join, and wait: one call a second."""
CALLED = "440111"
"""Here everyone has been called."""
DAY = date(2021, 6, 19)
_CALLED_NO = 2
_EXPIRES_S = over_http.OPENS_AT + 80_000


def costs_city(folder: Path) -> Path:
    """Return the shipped city, but everyone in one of the two districts is called at once, and in the other hardly
    anybody."""
    text = SHIPPED_CITY.read_text("utf-8")
    for name, value in (
        ("rate_per_second", "1000000.0"),
        ("max_active", "100000000"),
        ("claim_seconds", "40000"),
        ("pass_seconds", "40000"),
    ):
        before = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(before, f"{name} = {value}")
    code = f'code = "{WAITING}"\n'
    file = folder / "costs.toml"
    file.write_text(text.replace(code, f"{code}rate_per_second = 1.0\n"), "utf-8")
    return file


class CostRequests:
    """Requests by index of the resident; those of the opening where everyone is called have entry = index."""

    def __init__(self, settings: Settings) -> None:
        self._signer, self._pepper = Signer(settings.secrets), Pepper(settings.pepper)
        wishes = {
            "preferences": [{"site": f"{CALLED}-1", "period": "am"}, {"site": f"{CALLED}-2", "period": "any"}],
            "accept_any_site": True,
        }
        self._wishes = msgspec.json.encode(wishes)

    def resident(self, index: int) -> bytes:
        return self._pepper.resident("resident_id", over_http.papers(index)[0])

    def _token(self, kind: TokenKind, district: str, entry: int) -> str:
        return self._signer.sign(kind, Token(district, DAY, entry, self.resident(entry), _EXPIRES_S))

    def poll(self, entry: int) -> bytes:
        return request("GET", "/api/v1/ticket", bearer=self._token(TokenKind.TICKET, WAITING, entry))

    def ready(self, entry: int) -> bytes:
        return request("GET", "/api/v1/ticket", bearer=self._token(TokenKind.TICKET, CALLED, entry))

    def claim(self, entry: int) -> bytes:
        bare = request("POST", "/api/v1/passes", bearer=self._token(TokenKind.TICKET, CALLED, entry))
        return bare[:-2] + b"content-length: 0\r\n\r\n"

    def register(self, entry: int) -> bytes:
        pass_ = self._token(TokenKind.PASS, CALLED, entry)
        return request("POST", "/api/v1/registrations", bearer=pass_, body=self._wishes)

    def look_up(self, entry: int) -> bytes:
        receipt = self._token(TokenKind.RECEIPT, CALLED, entry)
        return request("GET", f"/api/v1/registrations/{registration_no(_CALLED_NO, DAY, entry)}", bearer=receipt)

    def qr(self, entry: int) -> bytes:
        return request("GET", f"/api/v1/registrations/{registration_no(_CALLED_NO, DAY, entry)}/qr.svg")
