"""Finding a registration again without its receipt: a one-time code by SMS, to the phone that is in the registry."""

import asyncio
import secrets

import msgspec
import structlog

from server.access.store import CodeStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import Cipher, Unreadable
from server.core.errors import Invalid, Refusal
from server.core.keys import Pepper, resident_tag
from server.core.languages import Language
from server.core.open_hours import check_open_hours
from server.core.papers import IdType, check_id, check_phone, normalise_id, normalise_phone
from server.core.sms import CODE_DIGITS, CODE_MINUTES, CODE_TRIES
from server.messages.sender import Sender
from server.registrations.receipts import Registered
from server.registrations.registrations import Registrations
from server.registry.guesses import Guesses
from server.registry.registry import Registry
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
# A provider's usual caps for one-time codes (domain.md, SMS), held for each phone, and for each person with a phone:
# who knows somebody's ID number, and not their phone, uses up nothing of theirs.
_SPANS = ((_MINUTE_MS, 1), (_HOUR_MS, 5), (24 * _HOUR_MS, 10))


class Asked(msgspec.Struct, frozen=True):
    """Who asks for a code (contract, `POST /access-codes`)."""

    id_type: IdType
    id_number: str
    phone: str


class Shown(Asked, frozen=True):
    """Who shows a code (contract, `POST /access-tokens`)."""

    code: str


class Access:
    """Sends one-time codes and takes them.

    Known and unknown people are answered alike and at the same pace: what differs is done after the answer.

    Args:
        city: its hours.
        connection: limits and codes.
        clock: city time.
        pepper: keyed hashes.
        cipher: decrypts the registry's phone numbers.
        registry: who is who.
        registrations: what is found.
        sender: sends the code.
        guesses: at what pace wrong codes are answered.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        pepper: Pepper,
        cipher: Cipher,
        registry: Registry,
        registrations: Registrations,
        sender: Sender,
        guesses: Guesses,
    ) -> None:
        self._city = city
        self._code_store = CodeStore(connection)
        self._reader = RegistrationReader(connection)
        self._registry_store = RegistryStore(connection)
        self._clock = clock
        self._pepper = pepper
        self._cipher = cipher
        self._registry = registry
        self._registrations = registrations
        self._sender = sender
        self._guesses = guesses
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, who: Asked, lang: Language = "zh") -> None:
        """Send a code, if there is somebody to send it to: who has registered, or whose door a stranger has shut.

        Args:
            who: papers.
            lang: `zh` or `en`, the language of the message.

        Raises:
            Invalid: papers that cannot be right.
            Refusal: `maintenance`, `too-many-requests`.
        """
        resident, phone = await self._identify(who)
        pair = self._pepper.pair(resident, phone)
        tags = [resident_tag(self._pepper.phone(phone)), resident_tag(pair)]
        for count in (False, True):  # who is refused by one limit has not used up the other
            waits_ms = [await self._code_store.quota(tag, _SPANS, count=count) for tag in tags]
            if any(waits_ms):
                raise Refusal("too-many-requests", retry_after_seconds=-(-max(waits_ms) // 1000))
        sending = asyncio.create_task(self._send(resident, phone, lang))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def settled(self) -> None:
        """Wait for what is done after the answers."""
        await asyncio.gather(*self._sending)

    async def _send(self, resident: bytes, phone: str, language: Language) -> None:
        try:
            record = await self._registry.first_dose(resident)
            if record is None or not record.contact or self._cipher.decrypt(resident, record.contact).phone != phone:
                return
            kept = await self._reader.registration(resident)
            if kept is None and not await self._registry_store.was_guessed_at(resident):
                return
            district = kept.district if kept else record.district
            code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
            pair = self._pepper.pair(resident, phone)
            lives_ms = CODE_MINUTES * _MINUTE_MS
            expires_ms = await self._code_store.keep_code(pair, self._pepper.code(pair, code), lives_ms)
            await self._sender.enqueue_code(resident, district, code, expires_ms, language)
        except Unreadable as error:
            log.error("contact cannot be read", why=str(error))
        except Refusal as refusal:  # they may ask again in a minute
            log.warning("code not sent", why=refusal.code)
        except Exception:
            log.exception("code not sent")

    async def show(self, who: Shown, attempt: bytes = b"") -> Registered:
        """A new receipt for one who has the code.

        Args:
            who: papers and code.
            attempt: the same for a repetition whose first answer was lost (`Idempotency-Key`); for a minute it finds
                what it has spent.

        Raises:
            Invalid: papers that cannot be right, or a code that is wrong, spent, too old or of somebody else.
            Refusal: `maintenance`.
        """
        resident, phone = await self._identify(who)
        pair = self._pepper.pair(resident, phone)
        code = normalise_phone(who.code)  # full-width digits and spaces, as phones type them
        digest = self._pepper.code(pair, code)
        mark = self._pepper.code(pair, attempt.hex()) if attempt else b""
        # Looked at first and spent when the answer is there: a store that fails in between must not cost the code.
        if await self._registry_store.try_code(pair, digest, CODE_TRIES, spend=False, attempt=mark):
            found = await self._registrations.of(resident)
            if found is None:  # deleted in these five minutes, or the code was for joining
                raise Refusal("not-found")
            if await self._registry_store.try_code(pair, digest, CODE_TRIES, spend=True, attempt=mark):
                return found
        self._guesses.note_wrong_code()
        await self._guesses.hold(is_refused=True)
        raise Invalid(("code", "wrong-code"))

    async def _identify(self, who: Asked) -> tuple[bytes, str]:
        """The person's key, and their phone in one spelling."""
        check_open_hours(self._city, from_ms(self._clock.now_ms(), self._city.tz))
        id_number = normalise_id(who.id_type, who.id_number, self._city.papers.old_15_digit_ids)
        phone = normalise_phone(who.phone)
        judged = (("id_number", check_id(who.id_type, id_number)), ("phone", check_phone(phone)))
        faults = [(field, fault) for field, fault in judged if fault is not None]
        if faults:
            raise Invalid(*faults)
        resident = self._pepper.resident(who.id_type, id_number)
        return await self._registry.in_use(resident, who.id_type, id_number), phone
