"""A registration as it is stored, and as it is read: the key table of `lua/README.md` is what both are held to."""

import re
from datetime import date, timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.errors import BrokenRecord
from server.records.history import HistoryEvent, decode_event
from server.records.registration import (
    Appointment,
    MessageState,
    MessageStatus,
    MessageWhy,
    NewRegistration,
    Preference,
    Registration,
    RegistrationState,
    Wishes,
    decode_registration,
    registration_of,
    wishes_fields,
)
from server.records.registration_views import (
    LATEST_FIELDS,
    OPEN_FIELDS,
    WAITING_FIELDS,
    Latest,
    OpenRegistration,
    WaitingRegistration,
    decode_latest,
    decode_open,
    decode_waiting,
)
from server.store.scripts import LUA_DIR
from tests.support.key_table import fields_of_hash

# As the first version that registered anybody has written it: without language, relative, or anything of a night.
FIRST_VERSION = {
    "no": "106190100000016",
    "state": "proposed",
    "registered_ms": "1624060800000",
    "first_dose": "2021-05-01",
    "district": "440106",
    "date": "2021-06-19",
    "entry": "1",
    "preferences": '[{"site":"T1","period":"am"},{"site":"T2","period":"any"}]',
    "accept_any_site": "0",
    "not_before": "",
    "product": "inactivated",
}
FULL = FIRST_VERSION | {
    "state": "booked",
    "accept_any_site": "1",
    "not_before": "2021-07-03",
    "together": "106190100000024",
    "lang": "en",
    "site": "T1",
    "day": "2021-07-05",
    "period": "am",
    "cancel_before_ms": "1625400000000",
    "booked_ms": "1624147200000",
    "reminded": "2021-07-05",
    "priority": "1",
    "taken_back": "T2|2021-06-21|pm",
    "closed_ms": "1625400000001",
    "charged": "1",
    "amended_ms": "1624060800001",
    "corrected_ms": "1624060800002",
    "night": "2021-06-19",
    "leaf": "7",
    "why_not": "no-slot",
    "reached": "2021-05-03",
    "nights": "3",
    "undelivered_ms": "1624147200005",
    "sms:registered": "delivered 1624060800100 1624060800000",
    "sms:allotted": "undelivered 1624147200100 1624147200000",
    "why:allotted": "unknown",
    "parts:allotted": "dk",
    "why:closed": "too-many",
}


def hgetall(fields: dict[str, str]) -> dict[bytes, bytes]:
    """As the store answers."""
    return {name.encode(): value.encode() for name, value in fields.items()}


def hmget(fields: dict[str, str], names: tuple[str, ...]) -> list[bytes | None]:
    """As the store answers."""
    return [fields[name].encode() if name in fields else None for name in names]


def read(fields: dict[str, str]) -> Registration:
    """The registration with these fields."""
    found = decode_registration(hgetall(fields))
    assert found is not None
    return found


def test_the_record_has_the_fields_of_the_key_table_and_no_others() -> None:
    fields = set(
        msgspec.structs.fields(Registration)[i].encode_name for i in range(len(Registration.__struct_fields__))
    )
    families = {"sms:KIND", "why:KIND", "parts:KIND"}
    assert fields - {"messages"} | families == fields_of_hash("registration")


def test_every_field_that_a_script_writes_is_in_the_key_table() -> None:
    written = set()
    for script in LUA_DIR.glob("*.lua"):
        pairs = r"call\('(?:HSET|HINCRBY)', registration, ((?:[^()]|\([^()]*\))*)\)"
        for arguments in re.findall(pairs, script.read_text()):
            flat = re.sub(r"\([^()]*\)", "", arguments)  # a call is one argument
            names = [it.strip() for it in flat.split(",")][::2]
            written |= {re.sub(r"^'(\w+:)' \.\. kind$", r"\1KIND", name).strip("'") for name in names}
    written -= {"unpack"}  # the fields that the caller gives
    assert {"state", "site", "nights", "closed_ms", "undelivered_ms", "sms:KIND", "parts:KIND"} <= written
    assert written <= fields_of_hash("registration")


def test_every_field_is_read_as_what_it_is() -> None:
    assert read(FULL) == Registration(
        no="106190100000016",
        state="booked",
        registered_ms=1_624_060_800_000,
        district="440106",
        opening_day=date(2021, 6, 19),
        entry=1,
        preferences=[Preference("T1", "am"), Preference("T2", "any")],
        accept_any_site=True,
        not_before=date(2021, 7, 3),
        together="106190100000024",
        first_dose=date(2021, 5, 1),
        product="inactivated",
        lang="en",
        site="T1",
        day=date(2021, 7, 5),
        period="am",
        cancel_before_ms=1_625_400_000_000,
        booked_ms=1_624_147_200_000,
        reminded=date(2021, 7, 5),
        priority=True,
        taken_back=Appointment("T2", "2021-06-21", "pm"),
        closed_ms=1_625_400_000_001,
        charged=True,
        amended_ms=1_624_060_800_001,
        corrected_ms=1_624_060_800_002,
        night=date(2021, 6, 19),
        leaf=7,
        why_not="no-slot",
        reached=date(2021, 5, 3),
        nights=3,
        undelivered_ms=1_624_147_200_005,
        messages={
            "registered": MessageStatus("delivered", 1_624_060_800_100, 1_624_060_800_000),
            "allotted": MessageStatus("undelivered", 1_624_147_200_100, 1_624_147_200_000, "unknown", "dk"),
        },
    )


def test_a_registration_of_the_first_version_is_read() -> None:
    it = read(FIRST_VERSION)
    assert (it.opening_day, it.entry, it.first_dose) == (date(2021, 6, 19), 1, date(2021, 5, 1))
    assert it.wishes == Wishes([Preference("T1", "am"), Preference("T2", "any")], False, None, None)
    assert (it.lang, it.messages, it.nights, it.night, it.appointment) == ("zh", {}, 0, None, None)
    assert not it.priority and not it.charged


def test_where_there_is_none_there_is_none() -> None:
    assert decode_registration({}) is None
    assert registration_of(None, "1") is None


def test_a_registration_of_another_number_or_that_cannot_be_read_is_not_the_one_asked_for() -> None:
    it = read(FULL)
    assert registration_of(it, it.no) is it
    assert registration_of(it, "106190100000024") is None
    assert registration_of(BrokenRecord("registration", "state"), it.no) is None


def test_what_a_later_version_has_added_is_left_alone() -> None:
    assert read(FULL | {"of_later": "x", "later:allotted": "y"}) == read(FULL)


@pytest.mark.parametrize("missing", sorted(FIRST_VERSION.keys() - {"first_dose", "not_before", "product"}))
def test_a_registration_without_what_every_version_has_written_is_broken(missing: str) -> None:
    with pytest.raises(BrokenRecord) as caught:
        decode_registration(hgetall({name: value for name, value in FULL.items() if name != missing}))
    assert (caught.value.record, caught.value.field) == ("registration", missing)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "arrived"),
        ("state", "Booked"),
        ("registered_ms", "yesterday"),
        ("entry", "1.5"),
        ("date", "2021-06-31"),
        ("first_dose", "unknown"),
        ("day", "tomorrow"),
        ("lang", "fr"),
        ("priority", "maybe"),
        ("taken_back", "T1|2021-06-21"),
        ("preferences", "[2]"),
        ("preferences", '[{"site":"T1","period":"At night"}]'),
        ("preferences", "["),
        ("leaf", "first"),
    ],
)
def test_a_value_that_nobody_knows_is_broken_and_is_not_repeated(field: str, value: str) -> None:
    with pytest.raises(BrokenRecord) as caught:
        decode_registration(hgetall(FULL | {field: value}))
    assert (caught.value.record, caught.value.field, caught.value.code) == ("registration", field, "store-unavailable")
    assert value not in repr(caught.value) and value not in str(caught.value)


@pytest.mark.parametrize(
    "told",
    [
        {"sms:allotted": "lost 1 2"},
        {"sms:allotted": "accepted 1"},
        {"sms:allotted": "accepted now 2"},
        {"why:allotted": "because"},
    ],
)
def test_a_message_of_which_nobody_knows_what_became_is_broken(told: dict[str, str]) -> None:
    with pytest.raises(BrokenRecord) as caught:
        decode_registration(hgetall(FULL | told))
    assert caught.value.field == "messages"


def test_bytes_that_are_no_text_are_broken() -> None:
    with pytest.raises(BrokenRecord):
        decode_registration({**hgetall(FULL), b"site": b"\xff"})


def test_a_slot_is_held_by_the_registration_of_that_number_on_that_day_until_it_is_cancelled() -> None:
    day = date(2021, 7, 5)
    for state in get_args(RegistrationState):
        it = read(FULL | {"state": state})
        assert it.holds_slot("106190100000016", day) == (state != "cancelled")
        assert not it.holds_slot("106190100000024", day)
        assert not it.holds_slot("106190100000016", day + timedelta(days=1))
    assert not read(FIRST_VERSION).holds_slot("106190100000016", day)


# Round trips: what is written is worked out here, as the key table has it.

_texts = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
_dates = st.dates(date(2021, 1, 1), date(2030, 12, 31))
_ms = st.integers(1, 2**52)
_preferences = st.lists(st.builds(Preference, _texts, st.sampled_from(["am", "pm", "any"])), max_size=10)
_wishes = st.builds(Wishes, _preferences, st.booleans(), st.none() | _dates, st.none() | _texts)
_messages = st.dictionaries(
    _texts,
    st.builds(
        MessageStatus,
        st.sampled_from(get_args(MessageState)),
        _ms,
        _ms,
        st.none() | st.sampled_from(get_args(MessageWhy)),
        st.text("-duk", max_size=5),
    ),
    max_size=4,
)
_registrations = st.builds(
    Registration,
    no=_texts,
    state=st.sampled_from(get_args(RegistrationState)),
    registered_ms=_ms,
    district=_texts,
    opening_day=_dates,
    entry=st.integers(0, 10**7),
    preferences=_preferences,
    accept_any_site=st.booleans(),
    not_before=st.none() | _dates,
    together=st.none() | _texts,
    first_dose=st.none() | _dates,
    product=st.just("") | _texts,
    lang=st.sampled_from(["zh", "en"]),
    site=st.none() | _texts,
    day=st.none() | _dates,
    period=st.none() | st.sampled_from(["am", "pm"]),
    cancel_before_ms=st.none() | _ms,
    booked_ms=st.none() | _ms,
    reminded=st.none() | _dates,
    priority=st.booleans(),
    taken_back=st.none() | st.builds(Appointment, _texts, _dates.map(str), st.sampled_from(["am", "pm"])),
    closed_ms=st.none() | _ms,
    charged=st.booleans(),
    amended_ms=st.none() | _ms,
    corrected_ms=st.none() | _ms,
    night=st.none() | _dates,
    leaf=st.none() | st.integers(0, 10**7),
    why_not=st.none() | _texts,
    reached=st.none() | _dates,
    nights=st.integers(0, 99),
    undelivered_ms=st.none() | _ms,
    messages=_messages,
)


def stored(value: Any) -> str:
    """A value as scripts and services write it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Appointment):
        return "|".join(value)
    if isinstance(value, list):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value)


def written(it: Registration) -> dict[str, str]:
    """A registration as the key table has it."""
    names = [(field.name, field.encode_name) for field in msgspec.structs.fields(it) if field.name != "messages"]
    fields = {encoded: stored(getattr(it, name)) for name, encoded in names}
    for kind, told in it.messages.items():
        fields[f"sms:{kind}"] = f"{told.state} {told.told_ms} {told.event_ms}"
        if told.why:
            fields[f"why:{kind}"] = told.why
        if told.parts:
            fields[f"parts:{kind}"] = told.parts
    return fields


@given(_registrations)
def test_whatever_is_written_is_read_again(it: Registration) -> None:
    assert read(written(it)) == it
    assert read({name: value for name, value in written(it).items() if value}) == it, "nothing is as good as empty"


@given(_registrations)
def test_what_is_registered_is_read_again(it: Registration) -> None:
    new = NewRegistration.of(b"r" * 16, 5, it)
    assert (new.resident, new.pass_expires_ms, new.no) == (b"r" * 16, 5, it.no)
    by_script = {"no": it.no, "state": "proposed", "registered_ms": str(it.registered_ms), "first_dose": new.first_dose}
    by_service = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in new.fields.items()}
    kept = read(by_script | by_service)
    assert kept == Registration(
        no=it.no,
        state="proposed",
        registered_ms=it.registered_ms,
        district=it.district,
        opening_day=it.opening_day,
        entry=it.entry,
        preferences=it.preferences,
        accept_any_site=it.accept_any_site,
        not_before=it.not_before,
        together=it.together,
        first_dose=it.first_dose,
        product=it.product,
        lang=it.lang,
    )


@given(_wishes)
def test_other_wishes_are_read_again(wishes: Wishes) -> None:
    fields = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in wishes_fields(wishes).items()}
    assert read(FULL | fields).wishes == wishes
    assert fields.keys() == {"preferences", "accept_any_site", "not_before", "together"}


# Views


def test_the_fields_of_a_view_are_fields_of_the_registration() -> None:
    known = {field.encode_name for field in msgspec.structs.fields(Registration)}
    for fields in (LATEST_FIELDS, OPEN_FIELDS, WAITING_FIELDS):
        assert set(fields) <= known


@given(_registrations)
def test_a_view_says_the_same_as_the_registration(it: Registration) -> None:
    fields = written(it)
    assert decode_latest(hmget(fields, LATEST_FIELDS)) == Latest(it.no, it.state, it.charged)
    day, first_dose, not_before = fields["day"], fields["first_dose"], fields["not_before"]
    is_open = OpenRegistration(it.no, it.state, it.district, day, first_dose, it.product)
    assert decode_open(hmget(fields, OPEN_FIELDS)) == (is_open if it.state in ("proposed", "booked") else None)
    waits = WaitingRegistration(
        it.no, it.district, first_dose, it.product, it.preferences, it.accept_any_site, not_before, it.priority,
        it.together or "",
    )  # fmt: skip
    assert decode_waiting(hmget(fields, WAITING_FIELDS)) == (waits if it.state == "proposed" else None)


def test_views_of_the_first_version_and_of_nobody() -> None:
    assert decode_latest(hmget(FIRST_VERSION, LATEST_FIELDS)) == ("106190100000016", "proposed", False)
    waits = decode_waiting(hmget(FIRST_VERSION, WAITING_FIELDS))
    assert waits is not None and (waits.priority, waits.together) == (False, "")
    assert decode_latest(hmget({}, LATEST_FIELDS)) == ("", None, False)
    assert decode_open(hmget({}, OPEN_FIELDS)) is None
    assert decode_waiting(hmget({}, WAITING_FIELDS)) is None


def test_a_view_of_what_nobody_knows_is_broken() -> None:
    odd = FIRST_VERSION | {"state": "arrived"}
    for decode, names in ((decode_latest, LATEST_FIELDS), (decode_open, OPEN_FIELDS), (decode_waiting, WAITING_FIELDS)):
        with pytest.raises(BrokenRecord):
            decode(hmget(odd, names))
    with pytest.raises(BrokenRecord):
        decode_waiting(hmget(FIRST_VERSION | {"preferences": "[2]"}, WAITING_FIELDS))


# History


def test_a_line_of_the_history_is_read_as_the_scripts_write_it() -> None:
    assert decode_event(b'[1624060800000,"A","cancelled","resident",""]') == HistoryEvent(
        1_624_060_800_000, "A", "cancelled", "resident", ""
    )


@pytest.mark.parametrize("line", [b"", b"[1]", b'["now","A","b","c","d"]', b"\xff"])
def test_a_line_that_is_none_is_broken(line: bytes) -> None:
    with pytest.raises(BrokenRecord):
        decode_event(line)
