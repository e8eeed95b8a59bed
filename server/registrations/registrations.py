"""Registrations: a pass becomes a registration, once; its receipt finds, changes and cancels it."""

import asyncio
import contextlib
import unicodedata
from datetime import date, datetime, timedelta
from typing import Annotated, Any, assert_never

import msgspec

from server.appointments.appointments import Appointments
from server.appointments.sites import Sites
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.districts import District
from server.core.errors import Invalid, Overloaded, Refusal, StoreUnavailable
from server.core.keys import is_registration_no, parts_of, registration_no, window_of
from server.core.open_hours import check_open_hours
from server.core.periods import ANY, PeriodCode
from server.core.tokens import Forged, Kind, Signer, Token
from server.fairness.merkle import Proof, check
from server.night.published import Published
from server.night.status import announced
from server.records.first_dose import FirstDoseRecord
from server.records.registration import CancelStatus, Change, Kept, Life, NewRegistration, NotRegistered
from server.registrations.store import RegistrationStore
from server.registry.registry import Registry
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader
from server.waiting_room.room import WaitingRoom

# A receipt outlives the campaign; whoever loses it gets a new one by SMS code.
_RECEIPT_SECONDS = 400 * 86_400

_MOST_MOVES = 3
# "Not before" a day further away than this is a slip of the finger, and would mean to wait for ever.
_LONGEST_WISH = timedelta(days=180)

_Date = date  # a field of that name hides it


class Preference(msgspec.Struct):
    """One wish: a site, and a period of the day or `any`."""

    site: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    period: PeriodCode


class Wishes(msgspec.Struct):
    """What a resident asks for (contract, `POST /registrations`).

    `together`: number of a relative's registration, to be given the same place where that costs nobody anything; it
    counts when they name each other, or three in a ring.
    """

    preferences: Annotated[list[Preference], msgspec.Meta(max_length=10)]
    accept_any_site: bool
    not_before: date | None = None
    together: Annotated[str, msgspec.Meta(max_length=40)] | None = None


class Event(msgspec.Struct):
    """One line of a registration's history; `why`: a reason that was given, where there was one."""

    at: datetime
    state: str
    why: str | None = None


class AppointmentView(msgspec.Struct):
    """Where and when the dose is given."""

    site: str
    date: date
    period: str
    starts_at: datetime
    ends_at: datetime


class NightView(msgspec.Struct):
    """The last night that a registration was in, and how its holder can check it.

    `reason`: why it got nothing; `reached`: the first-dose date that the slots came to, where they were all given;
    `nights`: how many were in vain so far. `line`: its line of the result file, octet by octet, `leaf` (from 0 with the
    head) and `proof`: that it is under `root`; null where the result is not public yet, or not on this machine.
    `seed`: null as long as there is no root.
    """

    date: date
    reason: str | None
    reached: _Date | None
    nights: int
    line: str | None
    leaf: int | None
    root: str | None
    proof: Proof | None
    list_root: str | None
    commitment: str | None
    seed: str | None
    file_url: str | None


class MessageView(msgspec.Struct, omit_defaults=True):
    """What became of an SMS: `accepted` by the provider, `delivered`, `undelivered`, `refused`, or `unsent`; `at`: when
    the provider took it, or would not; `why`: see `delivery_failures.Missed`, left out where nothing is to be said."""

    kind: str
    state: str
    at: datetime
    why: str | None = None


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
    together: str | None
    appointment: AppointmentView | None
    cancel_before: datetime | None
    history: list[Event]
    night: NightView | None
    messages: list[MessageView]
    no_shows: int
    barred: bool


class Registered(Registration):
    """What `POST /registrations` answers: the registration and the receipt that opens it again."""

    receipt: str
    receipt_qr_svg_url: str


class Registrations:
    """Takes registrations, finds and changes them.

    Args:
        city: districts, time zone.
        connection: where registrations are.
        clock: city time.
        signer: signs receipts.
        registry: first-dose dates.
        room: frees the pass.
        sites: the districts' sites.
        appointments: frees the slot of a cancelled one.
        published: the nights' results.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        signer: Signer,
        registry: Registry,
        room: WaitingRoom,
        sites: Sites,
        appointments: Appointments,
        published: Published,
    ) -> None:
        self._city = city
        self._connection = connection
        self._pointers = Pointers(connection)
        self._reader = RegistrationReader(connection)
        self._registration_store = RegistrationStore(connection)
        self._clock = clock
        self._signer = signer
        self._registry = registry
        self._room = room
        self._sites = sites
        self._appointments = appointments
        self._published = published
        self._writes: Coalescer[NewRegistration, Kept] = Coalescer(
            self._registration_store.register, max_batch=256, max_calls=2, linger_s=0.005
        )
        self._after: Coalescer[Token, None] = Coalescer(self._afterwards, max_batch=256, linger_s=0.05)

    async def register(self, token: Token, wishes: Wishes, lang: str) -> tuple[Registered, bool]:
        """Store a registration; (what to tell its holder, whether it is new). Answers once it is on disk.

        Args:
            token: the pass, read.
            wishes: what is asked for.
            lang: `zh` or `en`: of the messages to come.

        Raises:
            Refusal: `forged`, `expired`, `used`, `already-registered`, `invalid`, ...
        """
        self._check_periods(wishes)
        district = self._city.district(token.district)
        if district is None:
            raise Refusal("forged")
        no = registration_no(district.no, token.day, token.entry, token.window)
        await self._check(district, no, wishes)
        known = await self._registry.first_dose(token.resident)
        await self._check_still_eligible(token, no, known)
        fields: dict[str, Any] = {
            "district": token.district,
            "date": token.day.isoformat(),
            "entry": token.entry,
            **_wishes(wishes),
            "product": known.product if known else "",
            "lang": lang,
        }
        first_dose = known.date.isoformat() if known and known.date else ""
        new = NewRegistration(token.resident, token.expires_s * 1000, no, first_dose, fields)
        status, registered_ms, _, no_shows = await self._writes.submit(new)
        if status != "registered" and status != "again":
            raise _not_registered(status, has_first_dose=bool(first_dose))
        # The registration is the authority. What follows from it must not delay the answer, nor refuse it.
        with contextlib.suppress(Overloaded):
            self._after.submit(token).add_done_callback(_retrieve_failure)
        # Again: what was stored then, and what has become of it, not what was sent now.
        stored = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in fields.items()}
        kept = stored | {
            "no": no,
            "state": "proposed",
            "registered_ms": str(registered_ms),
            "first_dose": first_dose,
        }
        again = status == "again"
        view = await (self._shown(no, token.resident) if again else self._view(kept, Life([], no_shows, barred=False)))
        return self._with_receipt(view, token, registered_ms), not again

    async def _afterwards(self, registered: list[Token]) -> list[None]:
        """Let the outbox know of the messages that are owed (else the night does), and free the passes."""
        with contextlib.suppress(Refusal):
            await self._pointers.write_pointers([(token.district, token.resident) for token in registered])
        await self._room.release(registered)
        return [None] * len(registered)

    async def settled(self) -> None:
        """What the registrations so far have brought with them is done."""
        while self._after.load:  # noqa: ASYNC110  (for tests; nobody else waits for it)
            await asyncio.sleep(0.01)

    async def find(self, no: str, text: str | bytes) -> Registration:
        """A registration by its number and receipt.

        Raises:
            Refusal: `maintenance`, `forged`, `expired`, `not-found` (another one's receipt, or a later registration
                has replaced it).
        """
        return await self._shown(no, self._open(no, text)[0].resident)

    async def of(self, resident: bytes) -> Registered | None:
        """A resident's latest registration with a new receipt, for one who has shown who they are; None without any."""
        kept = await self._reader.registration(resident)
        if not kept:
            return None
        no, day = kept["no"], date.fromisoformat(kept["date"])
        token = Token(kept["district"], day, int(kept["entry"]), resident, 0, window=window_of(no))
        view = await self._shown(no, resident)
        return self._with_receipt(view, token, self._clock.now_ms())

    async def amend(self, no: str, text: str | bytes, wishes: Wishes) -> Registration:
        """Other wishes, while there is no appointment.

        Raises:
            Refusal: as `find`; `too-late` once allotted or closed.
            Invalid: what is wrong with the wishes.
        """
        self._check_periods(wishes)
        token, district = self._open(no, text)
        await self._check(district, no, wishes)
        status = await self._registration_store.amend(Change(token.resident, no, "resident"), _wishes(wishes))
        match status:
            case "amended" | "same":
                return await self._shown(no, token.resident)
            case "absent":
                raise Refusal("not-found")
            case "other":
                kept, _ = await self._kept(no, token.resident)
                raise Refusal("too-late", reason="allotted" if kept["state"] == "booked" else "closed")
            case _:
                assert_never(status)

    async def cancel(self, no: str, text: str | bytes) -> Registration:
        """Give the registration up, and its slot if it has one (announcement A8); again changes nothing.

        Raises:
            Refusal: as `find`; `too-late` with `cancel_before`.
        """
        token, _ = self._open(no, text)
        status: CancelStatus = "moved"
        for _ in range(_MOST_MOVES):
            if status == "moved":  # given or taken back in this very moment
                kept, _ = await self._kept(no, token.resident)
                status = await self._appointments.cancel(token.resident, no, kept, "resident")
        match status:
            case "moved":
                raise StoreUnavailable
            case "absent":
                raise Refusal("not-found")
            case "late" | "closed":
                kept, _ = await self._kept(no, token.resident)
                raise Refusal("too-late", cancel_before=self._cancel_before(kept))
            case "cancelled" | "again":
                return await self._shown(no, token.resident)
            case _:
                assert_never(status)

    def _open(self, no: str, text: str | bytes) -> tuple[Token, District]:
        """The receipt of this number and its district, in the hours in which residents can log in."""
        check_open_hours(self._city, self._now())
        try:
            token = self._signer.read(Kind.RECEIPT, text)
        except Forged:
            raise Refusal("forged") from None
        if token.expires_s * 1000 <= self._clock.now_ms():
            raise Refusal("expired", state=None)
        district = self._city.district(token.district)
        # Whoever holds one receipt learns nothing about other numbers, not even whether they exist.
        if district is None or no != registration_no(district.no, token.day, token.entry, token.window):
            raise Refusal("not-found")
        return token, district

    async def _kept(self, no: str, resident: bytes) -> tuple[dict[str, str], Life]:
        kept = await self._reader.registration(resident)
        if kept.get("no") != no:
            raise Refusal("not-found")
        life = await self._reader.history(resident)
        return kept, life._replace(past=[line for line in life.past if line.no == no])

    def _check_periods(self, wishes: Wishes) -> None:
        """Raises Invalid: a period that the city does not have."""
        faults = [
            (f"preferences[{i}].period", "type")
            for i, wish in enumerate(wishes.preferences)
            if wish.period != ANY and wish.period not in self._city.periods
        ]
        if faults:
            raise Invalid(*faults)

    async def _check(self, district: District, no: str, wishes: Wishes) -> None:
        """The wishes name sites of the district, each at most once, and somebody else of the district.

        Raises:
            Invalid: what is wrong, field by field.
        """
        if not wishes.preferences and not wishes.accept_any_site:
            raise Invalid(("preferences", "empty"))
        if wishes.not_before and wishes.not_before > self._now().date() + _LONGEST_WISH:
            raise Invalid(("not_before", "too-late"))
        sites = await self._sites.of(district.code)
        faults = [
            (f"preferences[{i}].site", "unknown-site")
            for i, wish in enumerate(wishes.preferences)
            if wish.site not in sites
        ]
        if len({(wish.site, wish.period) for wish in wishes.preferences}) < len(wishes.preferences):
            faults.append(("preferences", "twice"))
        if fault := self._fault_of_relative(district, no, relative_of(wishes)):
            faults.append(("together", fault))
        if faults:
            raise Invalid(*faults)

    async def _check_still_eligible(self, token: Token, no: str, known: FirstDoseRecord | None) -> None:
        """An import may have come between joining and this. Who has registered is not asked again.

        Raises:
            Refusal: `not-eligible`.
        """
        try:
            self._registry.check_eligible(known, token.district, token.day)
        except Refusal:
            if (await self._reader.registration(token.resident)).get("no") != no:
                raise

    def _fault_of_relative(self, district: District, no: str, relative: str) -> str | None:
        """What is wrong with a relative's number; whether there is such a registration is nobody's business."""
        if not relative:
            return None
        if not is_registration_no(relative):
            return "no-registration-number"
        if relative == no:
            return "own-number"
        parts = parts_of(relative, self._now().date())
        if parts is None:
            return "no-registration-number"
        return None if parts.district_no == district.no else "other-district"

    def _with_receipt(self, view: Registration, token: Token, issued_ms: int) -> Registered:
        expires_s = issued_ms // 1000 + _RECEIPT_SECONDS
        receipt = Token(token.district, token.day, token.entry, token.resident, expires_s, window=token.window)
        return Registered(
            **msgspec.structs.asdict(view),
            receipt=self._signer.sign(Kind.RECEIPT, receipt),
            receipt_qr_svg_url=f"/api/v1/registrations/{view.registration_no}/qr.svg",
        )

    def _now(self) -> datetime:
        return from_ms(self._clock.now_ms(), self._city.tz)

    def _cancel_before(self, kept: dict[str, str]) -> datetime | None:
        ms = kept.get("cancel_before_ms")
        return from_ms(int(ms), self._city.tz) if ms and kept["state"] != "cancelled" else None

    async def _shown(self, no: str, resident: bytes) -> Registration:
        return await self._view(*await self._kept(no, resident))

    async def _view(self, kept: dict[str, str], life: Life) -> Registration:
        registered_at = from_ms(int(kept["registered_ms"]), self._city.tz)
        events = [Event(from_ms(line.at_ms, self._city.tz), line.state, line.why or None) for line in life.past]
        return Registration(
            registration_no=kept["no"],
            state=kept["state"],
            district=kept["district"],
            registered_at=registered_at,
            priority={"first_dose_date": kept["first_dose"] or None, "product": kept["product"] or None},
            preferences=msgspec.json.decode(kept["preferences"], type=list[Preference]),
            accept_any_site=kept["accept_any_site"] == "1",
            not_before=date.fromisoformat(kept["not_before"]) if kept["not_before"] else None,
            together=kept.get("together") or None,
            appointment=self._appointment(kept),
            cancel_before=self._cancel_before(kept),
            history=[Event(registered_at, "proposed"), *events],
            night=await self._night(kept),
            messages=self._messages(kept),
            no_shows=life.no_shows,
            barred=life.barred,
        )

    def _appointment(self, kept: dict[str, str]) -> AppointmentView | None:
        if "day" not in kept or kept["state"] == "cancelled":  # its slot is somebody else's
            return None
        day, period = date.fromisoformat(kept["day"]), kept["period"]
        return AppointmentView(kept["site"], day, period, *self._city.period_times(day, period))

    async def _night(self, kept: dict[str, str]) -> NightView | None:
        if not kept.get("night"):
            return None
        district, no, day = kept["district"], kept["no"], date.fromisoformat(kept["night"])
        public = await announced(self._connection, self._published, district, day)
        leaf = int(kept["leaf"]) if kept.get("leaf") else None
        root = public.root if public else None
        entry = self._published.entry(day, district, leaf) if root is not None and leaf is not None else None
        if entry is not None and not (
            entry.line.startswith(f'{{"no":"{no}"'.encode()) and check(str(root), entry.line, entry.proof)
        ):
            entry = None  # a file that is not the published one proves nothing
        reached = kept.get("reached")
        return NightView(
            date=day,
            reason=kept.get("why_not") or None,
            reached=date.fromisoformat(reached) if reached else None,
            nights=int(kept.get("nights", 0)),
            line=entry.line.decode() if entry else None,
            leaf=leaf,
            root=root,
            proof=entry.proof if entry else None,
            list_root=public.list_root if public else None,
            commitment=public.commitment if public else None,
            seed=public.seed if public else None,
            file_url=public.file_url if public else None,
        )

    def _messages(self, kept: dict[str, str]) -> list[MessageView]:
        """In the order of what they tell of."""
        told = []
        for field, value in kept.items():
            if field.startswith("sms:"):
                state, told_ms, event_ms = value.split()
                at = from_ms(int(told_ms), self._city.tz)
                kind = field.removeprefix("sms:")
                told.append((int(event_ms), at, MessageView(kind, state, at, kept.get(f"why:{kind}"))))
        return [message for *_, message in sorted(told, key=lambda it: it[:2])]


def _not_registered(status: NotRegistered, *, has_first_dose: bool) -> Refusal:
    """Why the store has kept no registration."""
    match status:
        case "open":
            return Refusal("already-registered")
        case "barred":
            return Refusal("barred")
        case "done":
            return Refusal("not-eligible", reason="complete" if has_first_dose else "given", eligible_from=None)
        case "used":
            return Refusal("used")
        case "expired":
            return Refusal("expired", state="missed")
        case _:
            assert_never(status)


def _retrieve_failure(done: asyncio.Future[None]) -> None:
    """Nobody waits for it: the night finds the message, and the pass lapses by itself."""
    if not done.cancelled():
        done.exception()


def relative_of(wishes: Wishes) -> str:
    """The relative's number as it is kept, however it was typed: in groups, or in full-width digits; empty = none."""
    plain = unicodedata.normalize("NFKC", wishes.together or "")
    return "".join(it for it in plain if not it.isspace() and it not in "-‐–")


def _wishes(wishes: Wishes) -> dict[str, Any]:
    """The wishes as fields of a registration."""
    return {
        "preferences": msgspec.json.encode(wishes.preferences),
        "accept_any_site": int(wishes.accept_any_site),
        "not_before": wishes.not_before.isoformat() if wishes.not_before else "",
        "together": relative_of(wishes),
    }
