"""The registrations' part of the store: a registration is made, and its wishes are changed."""

from collections.abc import Mapping, Sequence

from server.core.errors import UnknownStatus
from server.core.keys import beside, resident_tag
from server.records.fields import Arg
from server.records.registration import NewRegistration
from server.records.registration_changes import AMEND, REGISTER, AmendStatus, Change, RegisterAnswer
from server.store.connection import FeatureStore
from server.store.scripts import Beside


class RegistrationStore(FeatureStore):
    """Each method runs the script of its name on the keys of one resident."""

    async def register(self, requests: Sequence[NewRegistration]) -> list[RegisterAnswer | UnknownStatus]:
        """What came of each."""
        calls = []
        for resident, expires_ms, no, first_dose, fields in requests:
            flat = [x for field in fields.items() for x in field]
            tag, line = resident_tag(resident), resident + f"{no}\n".encode()
            tags = Beside(tag, "registered", beside(tag, str(fields["date"])))
            calls.append((tags, (*self._connection.clock(), expires_ms, no, first_dose, line, *flat)))
        return self._connection.read_each(
            await self._connection.run_each("register", calls),
            lambda a: RegisterAnswer(self._connection.read(REGISTER, a[0]), a[1], a[2].decode(), a[3]),
        )

    async def amend(self, change: Change, fields: Mapping[str, Arg]) -> AmendStatus:
        """Other wishes for a registration, as `wishes_fields` has them; the status."""
        flat = [x for field in fields.items() for x in field]
        tag = resident_tag(change.resident)
        return self._connection.read(
            AMEND, await self._connection.run("amend", tag, *self._connection.clock(), change.no, change.actor, *flat)
        )
