"""The records of slots, nights and openings: what the store has of them, octet for octet, and in the key table."""

import json
from datetime import date
from hashlib import sha256

import msgspec
import pytest

from server.records.night import NightRecord, Step, Through
from server.records.opening import OpeningRecord
from server.records.slot import AttendedDay, OpenSlotChange, Overbooked, RosterEntry, SitePeriod, Slot
from tests.support.key_table import fields_of_hash, what_a_key_holds

RESIDENT = bytes(range(16))
# As a night of the version before has left it, and a later one might.
NIGHT = {
    "seed": "ab" * 32, "fence": "3", "missed": "2", "charged": "1", "barred": "0", "closed_ms": "1624363800000",
    "freed": "0", "freed_ms": "1624363800001", "rules": '{"district":"440106"}', "offered": "[]",
    "over": '[["2021-06-25","440106-1","am","inactivated",1,3]]', "registrations": "40", "parts": "1",
    "list_root": "cd" * 32, "frozen_ms": "1624363800002", "given": "40", "withdrawn": "0",
    "allotted_ms": "1624363800003", "root": "ef" * 32, "counts": '{"allotted":39,"full":1}',
    "reached": '[null,"2021-05-28","2021-06-01",null]', "published_ms": "1624363800004", "reminded": "5",
    "told_ms": "1624363800005",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "record"), [("night", NightRecord), ("opening", OpeningRecord)])
def test_a_record_and_the_key_table_have_the_same_fields(kind: str, record: type[msgspec.Struct]) -> None:
    assert set(record.__struct_encode_fields__) == fields_of_hash(kind)


def test_what_goes_on_from_night_to_night_is_in_the_key_table() -> None:
    assert set(Through.__struct_fields__) == what_a_key_holds("through")


def test_a_night_is_read_as_the_version_before_wrote_it_and_written_the_same() -> None:
    night = NightRecord.unpack(NIGHT | {"of_a_later_version": "?"})
    assert night.over == [Overbooked(date(2021, 6, 25), "440106-1", "am", "inactivated", 1, 3)]
    assert (night.fence, night.counts, night.reached) == (
        3, {"allotted": 39, "full": 1}, [None, date(2021, 5, 28), date(2021, 6, 1), None]
    )  # fmt: skip
    assert night.promise == sha256(b"\xab" * 32).hexdigest(), "of a night that an earlier version has begun"
    assert NightRecord(commitment="cd" * 32, seed="ab" * 32).promise == "cd" * 32
    assert {name: str(value) for name, value in night.pack().items()} == NIGHT


def test_of_a_night_only_what_has_happened_is_written() -> None:
    assert NightRecord(missed=0, closed_ms=5).pack() == {"missed": 0, "closed_ms": 5}
    kept = NightRecord(seed="ab", missed=1).with_news(NightRecord(missed=0, closed_ms=5))
    assert kept == NightRecord(seed="ab", missed=0, closed_ms=5)


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ("close", "closed_ms"), ("free", "freed_ms"), ("freeze", "frozen_ms"), ("allot", "allotted_ms"),
        ("publish", "published_ms"), ("tell", "told_ms"),
    ],
)  # fmt: skip
def test_a_step_is_done_by_its_own_time_alone(step: Step, field: str) -> None:
    assert NightRecord.unpack({field: "1"}).is_done(step)
    assert not NightRecord.unpack({name: value for name, value in NIGHT.items() if name != field}).is_done(step)


@pytest.mark.parametrize(("field", "value"), [("missed", "two"), ("counts", "{"), ("reached", '["yesterday"]')])
def test_a_damaged_night_is_refused(field: str, value: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        NightRecord.unpack(NIGHT | {field: value})


def test_an_opening_is_read_as_the_scripts_write_it() -> None:
    stored = {
        "opens_ms": "1624060800000", "draw_ms": "1624060920000", "closes_ms": "1624075200000", "claim_ms": "300000",
        "pass_ms": "600000", "grace_ms": "600000", "poll_budget": "1500", "seed": "ab" * 32, "rate": "0.5",
        "max_active": "30000", "paused": "1", "message": "null", "adjusted": "0", "issued": "7", "drawn": "5",
        "settled": "1", "serving": "2", "called": "2", "missed": "0", "missed_to": "0", "claimed": "1", "left": "0",
        "left_called": "0", "credit": "99.25", "last_ms": "1624060930000", "hold_ms": "1624060920003",
    }  # fmt: skip
    it = OpeningRecord.unpack(stored)
    assert (it.opens_ms, it.rate, it.paused, it.settled, it.adjusted) == (1624060800000, 0.5, True, True, False)
    assert (it.message, it.drawn, it.credit) == ("null", 5, 99.25)
    del stored["drawn"]
    assert OpeningRecord.unpack(stored).drawn is None
    with pytest.raises(msgspec.MsgspecError):
        OpeningRecord.unpack({"opens_ms": "1"})


def test_through_is_read_as_dates() -> None:
    assert Through.unpack({}) == Through()
    assert Through.unpack({"closed": "2021-06-22", "frozen": "2021-06-21"}) == Through(
        closed=date(2021, 6, 22), frozen=date(2021, 6, 21)
    )


def test_a_slot_is_named_as_it_always_was() -> None:
    assert Slot("440106-1", "am", "inactivated").pack() == "440106-1|am|inactivated"
    assert Slot.unpack("440106-1|am|inactivated") == ("440106-1", "am", "inactivated")
    assert SitePeriod("440106-1", "pm").pack() == "440106-1|pm"
    assert SitePeriod.unpack("440106-1|pm") == ("440106-1", "pm")
    with pytest.raises(ValueError):
        Slot.unpack("440106-1|am")


def test_a_dose_that_met_no_appointment_is_named_by_number_and_day() -> None:
    assert AttendedDay("106190220000001", "2021-06-22").pack() == "106190220000001|2021-06-22"
    assert AttendedDay.unpack("106190220000001|2021-06-22") == ("106190220000001", "2021-06-22")


def test_a_roster_line_is_a_resident_and_a_slot_whatever_octets_their_key_has() -> None:
    resident = b"|" * 15 + b"\xff"
    assert RosterEntry.unpack("106190220000001", resident + b"T1|am|cho") == (
        "106190220000001",
        resident,
        "T1",
        "am",
        "cho",
    )
    assert OpenSlotChange.unpack("N", RESIDENT + b"1624363800000") == ("N", RESIDENT, 1624363800000)


def test_overbooked_slots_are_json_lists() -> None:
    assert json.loads(msgspec.json.encode([Overbooked(date(2021, 6, 25), "T1", "am", "cho", 1, 3)])) == [
        ["2021-06-25", "T1", "am", "cho", 1, 3]
    ]
