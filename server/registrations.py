"""Registrations: a pass becomes a registration, once, and is found again by its receipt."""

import asyncio
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from server.city import City
from server.clock import Clock, from_ms
from server.errors import Invalid, Refusal
from server.keys import registration_no
from server.registry import Registry
from server.sites import Sites
from server.store import Coalescer, Store
from server.tokens import Forged, Kind, Signer, Token
from server.waiting_room import WaitingRoom

# A receipt outlives the campaign; whoever loses it gets a new one by SMS code.
_RECEIPT_SECONDS = 400 * 86_400

Period = Literal["am", "pm", "any"]


class Preference(msgspec.Struct):
    """One wish: a site and a half of the day."""

    site: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    period: Period


class Wishes(msgspec.Struct):
    """What a resident asks for (contract, `POST /registrations`)."""

    preferences: Annotated[list[Preference], msgspec.Meta(max_length=10)]
    accept_any_site: bool
    not_before: date | None = None


class Event(msgspec.Struct):
    """One line of a registration's history."""

    at: datetime
    state: str


class Registration(msgspec.Struct):
    """A registration as its holder sees it (contract, `GET /registrations/{no}`)."""

    registration_no: str
    state: str
    district: str
    registered_at: datetime
    priority: dict[str, Any]
    preferences: list[Preference]
    accept_any_site: bool
    not_before: date | None
    appointment: dict[str, Any] | None
    cancel_before: datetime | None
    history: list[Event]
    no_shows: int


class Registered(Registration):
    """What `POST /registrations` answers: the registration and the receipt that opens it again."""

    receipt: str
    receipt_qr_svg_url: str


class Registrations:
    """Takes registrations and finds them.

    Args:
        city: districts, time zone.
        store: where registrations are.
        clock: city time.
        signer: signs receipts.
        registry: first-dose dates.
        room: frees the pass.
        sites: the districts' sites.
    """

    def __init__(
        self,
        city: City,
        store: Store,
        clock: Clock,
        signer: Signer,
        registry: Registry,
        room: WaitingRoom,
        sites: Sites,
    ) -> None:
        self._city = city
        self._store = store
        self._clock = clock
        self._signer = signer
        self._registry = registry
        self._room = room
        self._sites = sites
        self._writes: Coalescer[tuple[bytes, int, str, dict[str, Any]], tuple[str, int, str]] = Coalescer(
            store.register, max_batch=256, linger_s=0.005
        )
        self._releases: set[asyncio.Task[None]] = set()

    async def register(self, text: str | bytes, wishes: Wishes) -> tuple[Registered, bool]:
        """Store a registration; (what to tell its holder, whether it is new). Answers once it is on disk.

        Raises:
            Refusal: `forged`, `expired`, `used`, `already-registered`, `invalid`, ...
        """
        token, _ = self._room.read_pass(text)
        district = self._city.district(token.district)
        if district is None:
            raise Refusal("forged")
        await self._check(token.district, wishes)
        first_dose = await self._registry.first_dose(token.resident)
        no = registration_no(district.no, token.day, token.entry)
        fields = {
            "district": token.district,
            "date": token.day.isoformat(),
            "entry": token.entry,
            "preferences": msgspec.json.encode(wishes.preferences),
            "accept_any_site": int(wishes.accept_any_site),
            "not_before": wishes.not_before.isoformat() if wishes.not_before else "",
            "first_dose": first_dose.date.isoformat() if first_dose else "",
            "product": first_dose.product if first_dose else "",
        }
        status, registered_ms, _ = await self._writes.submit((token.resident, token.expires_s * 1000, no, fields))
        if status == "open":
            raise Refusal("already-registered")
        if status == "used":
            raise Refusal("used")
        if status == "expired":
            raise Refusal("expired", state="missed")
        # The registration is the authority. The pass it frees is derived, and must not delay the answer.
        release = asyncio.create_task(self._room.release(token))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)
        if status == "again":  # what was stored then, not what was sent now
            kept = await self._store.registration(token.resident)
        else:
            stored = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in fields.items()}
            kept = stored | {"no": no, "state": "proposed", "registered_ms": str(registered_ms)}
        expires_s = registered_ms // 1000 + _RECEIPT_SECONDS
        receipt = self._signer.sign(
            Kind.RECEIPT, Token(token.district, token.day, token.entry, token.resident, expires_s)
        )
        answer = Registered(
            **msgspec.structs.asdict(self._view(kept)),
            receipt=receipt,
            receipt_qr_svg_url=f"/api/v1/registrations/{no}/qr.svg",
        )
        return answer, status == "registered"

    async def find(self, no: str, text: str | bytes) -> Registration:
        """A registration by its number and receipt.

        Raises:
            Refusal: `forged`, `expired`, `not-found` (another one's receipt, or a later registration has replaced it).
        """
        try:
            token = self._signer.read(Kind.RECEIPT, text)
        except Forged:
            raise Refusal("forged") from None
        if token.expires_s * 1000 <= self._clock.now_ms():
            raise Refusal("expired", state=None)
        district = self._city.district(token.district)
        # Whoever holds one receipt learns nothing about other numbers, not even whether they exist.
        if district is None or no != registration_no(district.no, token.day, token.entry):
            raise Refusal("not-found")
        kept = await self._store.registration(token.resident)
        if kept.get("no") != no:
            raise Refusal("not-found")
        return self._view(kept)

    async def _check(self, district: str, wishes: Wishes) -> None:
        """The wishes name sites of the district, each at most once.

        Raises:
            Invalid: what is wrong, field by field.
        """
        if not wishes.preferences and not wishes.accept_any_site:
            raise Invalid(("preferences", "empty"))
        sites = await self._sites.of(district)
        faults = [
            (f"preferences[{i}].site", "unknown-site")
            for i, wish in enumerate(wishes.preferences)
            if wish.site not in sites
        ]
        if len({(wish.site, wish.period) for wish in wishes.preferences}) < len(wishes.preferences):
            faults.append(("preferences", "twice"))
        if faults:
            raise Invalid(*faults)

    def _view(self, kept: dict[str, str]) -> Registration:
        registered_at = from_ms(int(kept["registered_ms"]), self._city.tz)
        return Registration(
            registration_no=kept["no"],
            state=kept["state"],
            district=kept["district"],
            registered_at=registered_at,
            priority={"first_dose_date": kept["first_dose"] or None, "product": kept["product"] or None},
            preferences=msgspec.json.decode(kept["preferences"], type=list[Preference]),
            accept_any_site=kept["accept_any_site"] == "1",
            not_before=date.fromisoformat(kept["not_before"]) if kept["not_before"] else None,
            appointment=None,
            cancel_before=None,
            history=[Event(registered_at, "proposed")],
            no_shows=0,
        )
