"""What a night did is audited from outside: an honest one is green, and each broken promise is found."""

from pathlib import Path

import pytest

from loadtests.after_dark import NightTruth, audit_night, read_night
from loadtests.truth import connect as connect_for_audit
from server.store import Store, connect, scripts
from tests.broken.faults import broken
from tests.nights import DAY, NightHouse, fill

TIANHE, HAIZHU = "440106", "440105"

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


@pytest.fixture
async def night(store_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> NightTruth:
    """Tianhe's night of a hundred registrations and half as many doses, held with broken scripts."""
    store = Store(await connect(store_url))
    prelude = (scripts.LUA_DIR / "prelude.lua").read_text()
    store._scripts = dict(store._scripts)
    for name, instead in getattr(request, "param", {}).items():
        source = (scripts.LUA_DIR / f"{name}.lua").read_text()
        store._scripts[name] = scripts.parse(name, broken(source, instead), prelude)
    house = NightHouse(store, tmp_path / "results")
    house.at("12:00:00")
    await fill(store, 100, per_slot=1)
    await house.run()
    await store.close()
    found = read_night(connect_for_audit(store_url), TIANHE, str(DAY))
    assert found is not None
    return found


def red(night: NightTruth, messages: list[str] | None = None) -> set[str]:
    """Names of what is not green, without the district."""
    return {check.name.partition(" ")[0] for check in audit_night(night, messages) if not check.ok}


def test_an_honest_night_is_green(night: NightTruth) -> None:
    checks = audit_night(night)
    assert [check.ok for check in checks] == [True, True], checks
    assert checks[0].detail == "40 given of 40, each to one"
    assert checks[1].detail == "40 allotted before 60 who were not"


@pytest.mark.parametrize(
    ("night", "expected"),
    [
        ({"note_night": _TWICE_OF_EVERYTHING, "take": _NO_GUARD}, {"slots"}),
        ({"take": _ANOTHER_DAY}, {"slots"}),
        ({"take": _KEPT_BACK}, {"ranks"}),
    ],
    ids=["sold twice", "two slots", "kept back"],
    indirect=["night"],
)
def test_a_broken_night_is_caught(night: NightTruth, expected: set[str]) -> None:
    assert red(night) == expected, audit_night(night)
