"""What an operator does in the middle of an opening, no fault: all that may change is the wait that is told."""

from __future__ import annotations

import json
import urllib.request
from secrets import token_hex
from typing import Any

from loadtests.faults.fault import Fault, FaultError, FaultTarget


class RateStep(Fault):
    """What becomes of the promised times when the rate changes? Half as many again are called a second, then as before.

    What was promised under one rate is told anew under the other; those promises must be as good. No error is forgiven.
    """

    name = "rate-step"
    lasts_seconds = 20.0
    forgiven = False
    _STEP = 1.5

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def prepare(self, server: FaultTarget) -> None:
        """Know the operator's token."""
        server.environment.setdefault("JIAOHAO_OPERATOR_TOKEN", token_hex(16))

    def inject(self, server: FaultTarget) -> str:
        """Step the rates up."""
        for district in self._called(server):
            rate = self._ask(server, district)["rate_per_second"]
            self._before[district] = rate
            self._ask(server, district, {"rate_per_second": rate * self._STEP})
        return f"{self._STEP:g} times as many are called a second"

    def heal(self, server: FaultTarget) -> str:
        """Step them down again."""
        before, self._before = self._before, {}
        for district, rate in before.items():
            self._ask(server, district, {"rate_per_second": rate})
        return "as many as before" if before else ""

    def _called(self, server: FaultTarget) -> list[str]:
        city = self._ask(server)
        return [it["code"] for it in city["districts"] if it["state"] == "open"]

    def _ask(self, server: FaultTarget, district: str = "", change: dict[str, float] | None = None) -> Any:
        url = f"{server.url}/api/v1/{f'openings/{district}' if district else 'city'}"
        token = server.environment["JIAOHAO_OPERATOR_TOKEN"]
        head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = None if change is None else json.dumps(change).encode()
        request = urllib.request.Request(url, body, head, method="GET" if change is None else "PATCH")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return json.load(answer)
        except OSError as error:
            raise FaultError(f"the operator's call was not answered: {error}") from None
