"""What a night did is audited from outside: an honest one is green, and each broken promise is found."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loadtests.audit.night_checks import audit_night
from loadtests.audit.night_store import Message, NightTruth, read_night
from loadtests.audit.truth import connect as connect_for_audit
from server.appointments.sites import Sites
from server.core.encryption import Cipher
from server.core.keys import Pepper
from server.fairness.allotment import Rules
from server.messages.sender import Sender
from server.store import scripts
from server.store.connecting import connect
from tests.broken.faults import broken
from tests.support.nights import DAY, PEPPER, SECRET, NightHouse, fill
from tests.support.stores import Store

TIANHE = "440106"

# More is given than there is: twice of every slot is offered, and what guards the slot is off.
_TWICE_OF_EVERYTHING = """
for i = 2, #ARGV, 2 do
  if ARGV[i] == 'offered' then
    ARGV[i + 1] = string.gsub(ARGV[i + 1], '%],(%d+)%]', function(n) return '],' .. 2 * tonumber(n) .. ']' end)
  end
end
return honest()
"""
_NO_GUARD = """
local slot = ARGV[5] .. '|' .. ARGV[6] .. '|' .. ARGV[7]
local capacity = call('HGET', KEYS[1], slot)
call('HSET', KEYS[1], slot, 1000000)
local answer = honest()
if capacity then call('HSET', KEYS[1], slot, capacity) end
return answer
"""
# Now and then somebody gets a second slot, of the day after.
_ANOTHER_DAY = """
local answer = honest()
if tonumber(string.sub(ARGV[3], -2)) % 5 == 0 then
  local year, month, day = string.match(KEYS[3], '(%d+)-(%d+)-(%d+)}')
  local roster = string.gsub(KEYS[3], '%d%d}$', string.format('%02d}', tonumber(day) + 1))
  local taken = string.gsub(roster, '^roster', 'taken')
  local slots = string.gsub(roster, '^roster', 'slots')
  local slot = ARGV[5] .. '|' .. ARGV[6] .. '|' .. ARGV[7]
  call('HSET', roster, ARGV[3], ARGV[4] .. slot)
  call('HINCRBY', taken, slot, 1)
  call('HINCRBY', slots, slot, 1)
end
return answer
"""
# A slot that a number ending in 3 should get is given to nobody: its holder is told that it was full.
_KEPT_BACK = "if tonumber(string.sub(ARGV[3], -2)) % 5 == 0 then return {'full', 0} end return honest()"


# What has been sent to some stays owed.
_NEVER_SETTLED = "if string.byte(KEYS[1], -4) % 8 == 0 then return 1 end return honest()"


class Phones:
    """A gateway that keeps what it was given."""

    def __init__(self) -> None:
        self.ready = 50
        self.messages: list[Message] = []

    async def submit(self, phone: str, text: str) -> list[str]:
        self.messages.append(Message(phone, text))
        return []


@dataclass
class Dark:
    """A night that is over: what the store says, and what was sent."""

    night: NightTruth
    messages: list[Message]

    def red(self) -> set[str]:
        """Names of what is not green, without the district."""
        return {check.name.partition(" ")[0] for check in audit_night(self.night, self.messages) if not check.ok}


@pytest.fixture
async def dark(store_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Dark:
    """Tianhe's night of a hundred registrations and fewer doses, held and told with broken scripts."""
    store = Store(await connect(store_url))
    prelude = (scripts.LUA_DIR / "prelude.lua").read_text()
    store._scripts = dict(store._scripts)
    for name, instead in getattr(request, "param", {}).items():
        source = (scripts.LUA_DIR / f"{name}.lua").read_text()
        store._scripts[name] = scripts.parse(name, broken(source, instead), prelude)
    house, phones = NightHouse(store, tmp_path / "results"), Phones()
    house.at("12:00:00")
    await fill(store, 100, per_slot=1)
    await house.run()
    sender = Sender(house.city, store, house.clock, Cipher([SECRET]), Pepper(PEPPER), Sites(house.city, store))
    house.at("20:15:00")
    await store.open_outbox([district.code for district in house.city.districts])
    with suppress(TimeoutError):  # what stays owed is sent again and again
        async with asyncio.timeout(20):
            await sender.send_messages(phones, "test")
    # What was gathered for the store is on its way still, and would open a connection of its own once this is closed.
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=20)
    await store.close()
    with connect_for_audit(store_url) as client:
        night = read_night(client, TIANHE, str(DAY))
    assert night is not None
    return Dark(night, [m for m in phones.messages if m.phone.startswith("1306")])


def test_an_honest_night_is_green(dark: Dark) -> None:
    checks = audit_night(dark.night, dark.messages)
    assert [check.ok for check in checks] == [True, True, True], checks
    assert [check.detail for check in checks] == [
        "40 given of 40, each to one",
        "40 allotted before 60 who were not",
        "140 messages, none twice",
    ]


@pytest.mark.parametrize(
    ("dark", "expected"),
    [
        ({"note_night": _TWICE_OF_EVERYTHING, "take": _NO_GUARD}, {"slots"}),
        ({"take": _ANOTHER_DAY}, {"slots"}),
        ({"take": _KEPT_BACK}, {"ranks"}),
        ({"settle_message": _NEVER_SETTLED}, {"messages"}),
    ],
    ids=["sold twice", "two slots", "kept back", "told twice"],
    indirect=["dark"],
)
def test_a_broken_night_is_caught(dark: Dark, expected: set[str]) -> None:
    assert dark.red() == expected, audit_night(dark.night, dark.messages)


@pytest.fixture
def by_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is another one: who had their first dose on an even day goes first."""
    monkeypatch.setattr(Rules, "cohort", lambda rules, first_dose, sent_back: first_dose.toordinal() % 2)


def test_another_order_is_caught(by_parity: None, dark: Dark) -> None:
    assert dark.red() == {"ranks"}


def test_a_message_that_was_not_sent_is_missed(dark: Dark) -> None:
    registered = next(m for m in dark.messages if "登记号" in m.text)
    allotted = next(m for m in dark.messages if "登记号" not in m.text)
    for message in (registered, allotted):
        assert Dark(dark.night, [m for m in dark.messages if m != message]).red() == {"messages"}
        assert Dark(dark.night, [*dark.messages, message]).red() == {"messages"}


def test_who_was_in_no_night_is_missed(dark: Dark) -> None:
    first = next(p for p in dark.night.people if p.state == "proposed")
    people = [replace(p, night="") if p is first else p for p in dark.night.people]
    assert Dark(replace(dark.night, people=people), dark.messages).red() == {"ranks"}


def test_an_appointment_that_no_roster_has_is_found(dark: Dark) -> None:
    assert Dark(replace(dark.night, rosters=dark.night.rosters[1:]), dark.messages).red() == {"slots"}
