"""The operator on call sees how the city stands, and puts right what is theirs to put right."""

import hashlib
from datetime import date
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from server.appointments.giving import SlotGrant
from server.records.night import NightRecord
from server.records.registration import Appointment
from server.records.registration_changes import Change
from server.records.slot import RosterEntry, Slot
from tests.support.dead_letters import in_hand, shelved
from tests.support.serving import BAIYUN, HUANGPU, OPERATOR, TIANHE, House, person, refused
from tests.support.stores import Store

SEED = bytes(range(32))
COMMITMENT = hashlib.sha256(SEED).hexdigest()
FRIDAY, SATURDAY, MONDAY, TUESDAY = (date(2021, 6, day) for day in (18, 19, 21, 22))
HEADER = "site,date,period,product,capacity"
LOOKS = ("/operations", "/operations/calls", "/operations/bars", "/operations/dead")
HANDS = (
    ("DELETE", "/operations/calls/106190100000008"),
    ("POST", "/operations/dead/440106-1-0/resend"),
    ("POST", "/capacity"),
)


async def look(house: House, **params: str) -> Any:
    answer = await house.call("GET", "/operations", bearer=OPERATOR, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def of(view: Any, code: str = TIANHE) -> Any:
    return next(it for it in view["districts"] if it["code"] == code)


async def entered(house: House, day: date = SATURDAY, code: str = TIANHE) -> int:
    """The night of a district has begun; the lease's token."""
    lease = await house.store.lease("process 7 on night-1", 0, 60_000)
    assert lease.is_mine
    assert await house.store.enter_night(f"{code}:{day}", lease.token, "", "") is not None
    return lease.token


async def owed_now(house: House) -> int:
    """How many messages somebody might send."""
    return await house.store.count_entries([TIANHE])


async def settled(house: House, outcome: Literal["accepted", "refused"]) -> str:
    """A message meets this end; its kind."""
    pointer, found = await in_hand(house)
    assert found.message is not None
    assert await house.store.settle_message([(pointer, found.seq, outcome)]) == [True]
    await house.store.acknowledge([pointer.entry])
    return found.message.kind


# How the city stands


async def test_an_opening_is_shown_with_its_counts(house: House) -> None:
    await house.at("08:00:30")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(5)]
    await house.call("PATCH", f"/openings/{TIANHE}", bearer=OPERATOR, json={"rate_per_second": 3, "max_active": 50})
    await house.at("08:02:01")
    called = [it for it in tickets if (await house.get("/ticket", bearer=it))["state"] == "ready"]
    await house.claim(called[0])
    await house.look()
    view = await look(house)
    assert view["now"] == "2021-06-19T08:02:01+08:00"
    assert of(view)["opening"] == {
        "date": "2021-06-19", "state": "open", "opens_at": "2021-06-19T08:00:00+08:00",
        "closes_at": "2021-06-19T12:00:00+08:00", "issued": 5, "serving": 3, "waiting": 2, "pending": 2,
        "passes_alive": 1, "rate_per_second": 3, "max_active": 50, "paused": False, "message": None, "window": 1,
        "forgotten": 0,
    }  # fmt: skip
    totals = view["totals"]
    assert (totals["issued"], totals["waiting"], totals["passes_alive"]) == (5, 2, 1)
    assert [it["code"] for it in view["districts"]] == [it.code for it in house.services.city.districts]
    nowhere = of(view, HUANGPU)
    assert (nowhere["name_zh"], nowhere["name_en"]) == ("黄埔区", "Huangpu")
    assert (nowhere["opening"]["state"], nowhere["opening"]["opens_at"]) == ("unassigned", None)


async def test_a_night_is_followed_step_by_step_and_its_seed_stays_secret_until_the_result_is_out(
    house: House,
) -> None:
    """The steps as `jiaohao night` notes them."""
    assert (await house.store.nights([f"{TIANHE}:{SATURDAY}"]))[0].commitment, "fixed before the opening"
    await house.at("20:11:00")
    client: Any = house.store.client
    await client.hset(f"night:{{{TIANHE}:{SATURDAY}}}", "commitment", COMMITMENT)

    async def seen(state: str) -> Any:
        text = (await house.call("GET", "/operations", bearer=OPERATOR)).text
        night = of(await look(house))["night"]
        assert (night["state"], night["date"], night["commitment"]) == (state, "2021-06-19", COMMITMENT)
        assert (night["root"] is None) == (night["seed"] is None) == (SEED.hex() not in text)
        return night

    nothing = await seen("committed")
    assert {value for name, value in nothing.items() if name not in ("date", "state", "commitment", "over")} == {None}
    token = await entered(house)
    await seen("closing")

    async def step(at: str, **fields: Any) -> None:
        house.set_time(at)
        fields = {name: house.clock.now_ms() if value is ... else value for name, value in fields.items()}
        assert await house.store.note_night(
            f"{TIANHE}:{SATURDAY}", token, NightRecord.unpack({name: str(value) for name, value in fields.items()})
        )

    await step("20:12:00", closed_ms=..., missed=7, charged=5, barred=2)
    assert (await seen("closing"))["closed_at"] == "2021-06-19T20:12:00+08:00"
    await step("20:13:00", freed_ms=..., freed=3)
    over = '[["2021-06-22","T1","am","inactivated",5,7]]'
    await step("20:14:00", frozen_ms=..., list_root="ab" * 32, registrations=120, parts=1, rules="{}", over=over)
    night = await seen("frozen")
    assert (night["list_root"], night["registrations"], night["given"]) == ("ab" * 32, 120, None)
    await step("20:15:00", given=60, withdrawn=0)
    assert (await seen("frozen"))["given"] == 60, "how far it has come"
    await step("20:16:00", allotted_ms=..., given=120, withdrawn=1)
    await seen("allotted")
    counts, reached = '{"allotted":99,"full":21}', '[null,"2021-05-03","2021-05-20",null]'
    await step("20:17:00", published_ms=..., root="cd" * 32, seed=SEED.hex(), counts=counts, reached=reached)
    await seen("published")
    await step("20:18:00", told_ms=..., reminded=4)
    assert await seen("done") == {
        "date": "2021-06-19", "state": "done", "commitment": COMMITMENT, "seed": SEED.hex(),
        "closed_at": "2021-06-19T20:12:00+08:00", "missed": 7, "charged": 5, "barred": 2,
        "freed_at": "2021-06-19T20:13:00+08:00", "freed": 3,
        "frozen_at": "2021-06-19T20:14:00+08:00", "list_root": "ab" * 32, "registrations": 120,
        "allotted_at": "2021-06-19T20:16:00+08:00", "given": 120, "withdrawn": 1,
        "published_at": "2021-06-19T20:17:00+08:00", "root": "cd" * 32, "counts": {"allotted": 99, "full": 21},
        "by_reserve": None, "reached": [None, "2021-05-03", "2021-05-20", None],
        "told_at": "2021-06-19T20:18:00+08:00", "reminded": 4,
        "over": [
            {"date": "2021-06-22", "site": "T1", "period": "am", "product": "inactivated", "capacity": 5, "taken": 7}
        ],
    }  # fmt: skip
    assert of(await look(house), BAIYUN)["night"]["state"] == "committed", "each district has its own"


async def test_a_night_that_was_run_is_shown_as_it_ended(house: House) -> None:
    await house.at("08:30:00")
    for i in range(3):
        await house.registered(person(i))
    await house.store.keep_capacity(f"{TIANHE}:{MONDAY}", {Slot("T1", "am", "inactivated"): 2})
    await house.at("20:15:00")
    await house.services.night.run(SATURDAY)
    view = await look(house)
    night = of(view)["night"]
    assert (night["state"], night["registrations"], night["given"], night["over"]) == ("done", 3, 3, [])
    assert (night["counts"]["allotted"], night["counts"]["full"]) == (2, 1)
    assert hashlib.sha256(bytes.fromhex(night["seed"])).hexdigest() == night["commitment"]
    assert all(it["night"]["state"] == "done" for it in view["districts"])
    assert (of(view)["pending"], view["totals"]["taken"], view["holder"]) == (1, 2, None)
    public = await house.get(f"/allotments/{TIANHE}/{SATURDAY}")
    assert (public["root"], public["seed"]) == (night["root"], night["seed"])


async def test_until_the_days_end_the_night_is_the_one_before(house: House) -> None:
    await house.at("20:05:00")  # who holds a pass may still finish
    assert (await look(house))["night"] == "2021-06-18"
    assert of(await look(house))["night"]["state"] == "none"
    await house.at("20:10:00")
    view = await look(house)
    assert (view["night"], of(view)["night"]["state"]) == ("2021-06-19", "committed")
    token = await entered(house)
    await house.at("03:00:00", date(2021, 6, 20))
    assert await house.store.note_night(f"{TIANHE}:{SATURDAY}", token, NightRecord(list_root="ab" * 32))
    view = await look(house)
    assert (view["night"], of(view)["night"]["state"]) == ("2021-06-19", "frozen")


async def test_who_runs_the_night_is_told_and_looking_takes_nothing(house: House) -> None:
    await house.at("20:30:00")
    assert (await look(house))["holder"] is None
    token = await entered(house)
    before = await house.everything()
    assert (await look(house))["holder"] == {
        "name": "process 7 on night-1",
        "since": "2021-06-19T20:30:00+08:00",
        "expires_at": "2021-06-19T20:31:00+08:00",
    }
    assert await house.everything() == before
    house.set_time("20:31:00")
    assert (await look(house))["holder"] is None, "it did not renew its lease"
    lease = await house.store.lease("another", 0, 60_000)
    assert lease.token == token + 1
    await house.store.lease("another", lease.token, 0)
    assert (await look(house))["holder"] is None, "given back"


async def test_the_lease_can_be_read_on_any_store(store: Store) -> None:
    store.now_ms = 1_000_000
    assert await store.leased() is None
    mine = await store.lease("me", 0, 5_000)
    assert await store.leased() == mine._replace(is_mine=False)
    assert (mine.token, mine.holder, mine.since_ms, mine.expires_ms) == (1, "me", 1_000_000, 1_005_000)
    await store.enter_night("440106:2021-06-19", mine.token, "", "")
    tags = ["440106:2021-06-19", "440111:2021-06-19"]
    assert [(night.fence, night.root) for night in await store.nights(tags)] == [(1, None), (None, None)]


async def test_capacity_is_shown_by_slot_and_added_up_for_today_and_two_weeks(house: House) -> None:
    await house.at("08:30:00")
    kept = {
        SATURDAY: {Slot("T1", "am", "inactivated"): 4},
        MONDAY: {Slot("T1", "am", "inactivated"): 10, Slot("T1", "pm", "cho"): 5, Slot("T2", "am", "inactivated"): 0},
        date(2021, 7, 3): {Slot("T2", "pm", "cho"): 6},
        date(2021, 7, 4): {Slot("T2", "pm", "cho"): 1000},  # too far ahead
        FRIDAY: {Slot("T1", "am", "inactivated"): 1000},  # over
    }
    for day, slots in kept.items():
        await house.store.keep_capacity(f"{TIANHE}:{day}", slots)
    for i in range(2):
        no = (await house.registered(person(i)))["registration_no"]
        giving = SlotGrant(RosterEntry(no, house.resident(person(i)), "T1", "am", "inactivated"), MONDAY)
        assert await house.services.appointments.give(TIANHE, [giving], "night") == ["booked"]
    await house.store.keep_capacity(f"{BAIYUN}:{MONDAY}", {Slot("B1", "am", "cho"): 3})
    view = await look(house)
    days = of(view)["capacity"]
    assert [it["date"] for it in days] == [f"2021-06-{d}" for d in range(19, 31)] + [f"2021-07-0{d}" for d in (1, 2, 3)]
    assert {it["date"]: (it["capacity"], it["taken"]) for it in days if it["capacity"] or it["taken"]} == {
        "2021-06-19": (4, 0), "2021-06-21": (15, 2), "2021-07-03": (6, 0),
    }  # fmt: skip
    assert of(view)["slots"] == [
        {"site": site, "date": day, "period": period, "product": product, "capacity": capacity, "taken": taken}
        for day, site, period, product, capacity, taken in (
            ("2021-06-19", "T1", "am", "inactivated", 4, 0),
            ("2021-06-21", "T1", "am", "inactivated", 10, 2),
            ("2021-06-21", "T1", "pm", "cho", 5, 0),
            ("2021-06-21", "T2", "am", "inactivated", 0, 0),
            ("2021-07-03", "T2", "pm", "cho", 6, 0),
        )
    ]
    assert (view["totals"]["capacity"], view["totals"]["taken"]) == (28, 2)
    few = await look(house, slots=BAIYUN)
    assert (of(few)["slots"], len(of(few, BAIYUN)["slots"])) == ([], 1)
    assert of(few)["capacity"] == days
    assert not any(it["slots"] for it in (await look(house, slots=""))["districts"])


async def test_messages_are_counted_by_state_with_the_oldest_that_waits(house: House) -> None:
    await house.at("08:30:00")
    empty = await look(house)
    nothing = {"codes": 0, "waiting": 0, "later": 0, "dead": 0, "oldest_at": None}
    assert all(it["outbox"] == nothing for it in empty["districts"])
    client: Any = house.store.client
    # Streams have the store's own time: 8:00 of that day.
    await client.xadd(f"codes:{{{TIANHE}}}", {"resident": b"r" * 16}, id="1624060800000-0")
    for i in range(3):
        await client.xadd(f"outbox:{{{TIANHE}}}", {"resident": b"r" * 16}, id=f"162406080100{i}-0")
    await client.zadd(f"later:{{{TIANHE}}}", {"p|1|r": 1, "q|1|r": 2})
    await client.hset(f"dead:{{{BAIYUN}}}", "p", b"x")
    await house.store.keep_pending(TIANHE, [("1", b"r" * 16), ("2", b"s" * 16)])
    await house.store.note_call(TIANHE, "1", b"r" * 16)
    await house.store.note_bar(TIANHE, "1", b"r" * 16)
    view = await look(house)
    assert of(view)["outbox"] == {
        "codes": 1, "waiting": 3, "later": 2, "dead": 0, "oldest_at": "2021-06-19T08:00:00+08:00",
    }  # fmt: skip
    assert of(view, BAIYUN)["outbox"] == nothing | {"dead": 1}
    assert (of(view)["pending"], of(view)["to_call"], of(view)["barred"]) == (2, 1, 1)
    assert view["totals"] == {
        "issued": 0, "waiting": 0, "passes_alive": 0, "pending": 2, "capacity": 0, "taken": 0, "codes": 1,
        "messages": 3, "later": 2, "dead": 1, "to_call": 1, "barred": 1, "attendances": 0,
            "oldest_at": "2021-06-19T08:00:00+08:00",
        "papers": {"wrong": 0, "refused": 0, "locked": 0},
    }  # fmt: skip


async def test_the_oldest_message_is_told_in_the_citys_time(house: House) -> None:
    """Under `--clock` the city's time is not the store's."""
    client: Any = house.store.client
    await client.xadd(f"outbox:{{{TIANHE}}}", {"resident": b"r" * 16}, id="1624060800000-0")
    house.clock.offset_ms = 3_600_000
    assert of(await look(house))["outbox"]["oldest_at"] == "2021-06-19T09:00:00+08:00"


# Who may


async def test_only_the_operator_may_look_or_put_right(house: House) -> None:
    await house.at("08:30:00")
    ticket = (await house.join(person(0)))["ticket"]
    before = await house.everything()
    for method, path in (*(("GET", path) for path in LOOKS), *HANDS):
        how: dict[str, Any] = {"content": b'{"reason":"x"}'}
        refused(await house.call(method, path, **how), "unauthorized", 401)
        for token in (ticket, house.staff(), OPERATOR[:-1], OPERATOR + "x", "x"):
            refused(await house.call(method, path, bearer=token, **how), "forged", 401)
    assert await house.everything() == before


# Whom to call


async def test_whom_no_message_reached_is_called_by_phone_and_taken_off_the_list(house: House) -> None:
    await house.at("08:30:00")
    done = [await house.booked(person(i), day) for i, day in ((0, TUESDAY), (1, MONDAY))]
    nos = [it["registration_no"] for it in done]
    await house.at("08:45:00")
    assert (await settled(house, "accepted"), await settled(house, "refused")) == ("registered", "allotted")
    for i, no in enumerate(nos):
        await house.store.note_call(TIANHE, no, house.resident(person(i)))
    await house.at("09:00:00")
    with capture_logs() as logs:
        answer = await house.call("GET", "/operations/calls", bearer=OPERATOR)
    assert "13700000000" not in str(logs)
    assert answer.headers["cache-control"] == "no-store"
    calls = answer.json()["calls"]
    assert [it["registration_no"] for it in calls] == nos[::-1], "the next appointment first"
    assert calls[1] == {
        "registration_no": nos[0], "district": TIANHE, "name": "测*", "phone": "13700000000", "lang": "zh",
        "state": "booked", "appointment": {"site": "T1", "date": "2021-06-22", "period": "am"},
        "failed": [{"kind": "allotted", "outcome": "refused", "at": "2021-06-19T08:45:00+08:00"}],
    }  # fmt: skip
    assert calls[0]["failed"] == []

    path = f"/operations/calls/{nos[0]}"
    for bad in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x", "phone": "1"}, {"reason": "x" * 201}):
        refused(await house.call("DELETE", path, bearer=OPERATOR, json=bad), "invalid", 422)
    refused(await house.call("DELETE", path, bearer=OPERATOR), "malformed", 400)
    nobody = await house.call("DELETE", f"/operations/calls/{nos[0][::-1]}", bearer=OPERATOR, json={"reason": "x"})
    refused(nobody, "not-found", 404)
    assert len((await house.get("/operations/calls", bearer=OPERATOR))["calls"]) == 2
    with capture_logs() as logs:
        reason = "reached at 137 0000 0000, will come"
        answer = await house.call("DELETE", path, bearer=OPERATOR, json={"reason": reason})
    assert (answer.status_code, answer.text) == (204, "")
    (line,) = [it for it in logs if it["event"] == "called"]
    assert (line["registration_no"], line["actor"]) == (nos[0], "operator")
    entry = (await house.store.history(house.resident(person(0)))).events[-1]
    assert (entry.no, entry.state, entry.actor, entry.why) == (
        nos[0], "called", "operator", "reached at ****, will come",
    )  # fmt: skip
    left = (await house.get("/operations/calls", bearer=OPERATOR))["calls"]
    assert [it["registration_no"] for it in left] == [nos[1]]
    refused(await house.call("DELETE", path, bearer=OPERATOR, json={"reason": reason}), "not-found", 404)


async def test_a_call_about_a_registration_that_is_over_says_so(house: House) -> None:
    await house.at("08:30:00")
    no = (await house.registered(person(0)))["registration_no"]
    await house.store.note_call(TIANHE, no[:-1] + "0", house.resident(person(0)))  # an earlier one of the same person
    await house.store.note_call(TIANHE, "1", b"n" * 16)  # whose papers have been purged
    earlier, purged = sorted(
        (await house.get("/operations/calls", bearer=OPERATOR))["calls"], key=lambda it: str(it["phone"])
    )
    assert (earlier["state"], earlier["appointment"], earlier["phone"]) == (None, None, "13700000000")
    assert (purged["name"], purged["phone"], purged["failed"]) == ("*", None, [])


# Who is barred


async def test_the_barred_are_listed_until_a_bar_is_lifted(house: House) -> None:
    await house.at("08:30:00")
    nos = []
    for i in range(2):
        nos.append((await house.booked(person(i), MONDAY))["registration_no"])
    for i, at in ((0, "20:15:00"), (1, "20:16:00")):
        house.set_time(at, MONDAY)
        change = Change(house.resident(person(i)), nos[i], "night")
        assert await house.store.miss([(change, True)], MONDAY.isoformat(), 0) == [("barred", 1)]
        await house.store.note_bar(TIANHE, nos[i], house.resident(person(i)))
    await house.store.note_bar(BAIYUN, "1", b"n" * 16)
    await house.at("09:00:00", TUESDAY)
    bars = (await house.get("/operations/bars", bearer=OPERATOR))["bars"]
    assert bars == [
        {"registration_no": nos[1], "district": TIANHE, "since": "2021-06-21T20:16:00+08:00"},
        {"registration_no": nos[0], "district": TIANHE, "since": "2021-06-21T20:15:00+08:00"},
        {"registration_no": "1", "district": BAIYUN, "since": None},
    ]
    answer = await house.call("DELETE", f"/bars/{nos[1]}", bearer=OPERATOR, json={"reason": "ill that day"})
    assert answer.status_code == 204
    left = [it["registration_no"] for it in (await house.get("/operations/bars", bearer=OPERATOR))["bars"]]
    assert left == [nos[0], "1"]


# Messages that were given up


async def test_a_message_that_was_given_up_is_sent_again_once(house: House) -> None:
    await house.at("08:30:00")
    no = (await house.registered(person(0)))["registration_no"]
    name = await shelved(house)
    dead = (await house.get("/operations/dead", bearer=OPERATOR))["dead"]
    assert dead == [
        {
            "pointer": name, "district": TIANHE, "registration_no": no, "kind": "registered", "tries": 9,
            "at": "2021-06-19T08:30:01+08:00", "why": "ConnectionError",
        }
    ]  # fmt: skip
    assert of(await look(house))["outbox"]["dead"] == 1
    assert await owed_now(house) == 0
    answer = await house.call("POST", f"/operations/dead/{name}/resend", bearer=OPERATOR)
    assert (answer.status_code, answer.text) == (204, "")
    assert (await house.get("/operations/dead", bearer=OPERATOR))["dead"] == []
    assert await owed_now(house) == 1
    assert await settled(house, "accepted") == "registered"
    assert await owed_now(house) == 0
    for again in (name, "440106-0-0", "x"):
        problem = refused(
            await house.call("POST", f"/operations/dead/{again}/resend", bearer=OPERATOR), "not-found", 404
        )
        assert problem["reason"] == "no-letter"


async def test_who_was_to_be_called_about_a_message_that_is_sent_again_is_not(house: House) -> None:
    await house.at("08:30:00")
    no = (await house.booked(person(0), MONDAY))["registration_no"]
    resident = house.resident(person(0))

    async def called_about() -> list[Any]:
        return [
            [it["kind"] for it in call["failed"]]
            for call in (await house.get("/operations/calls", bearer=OPERATOR))["calls"]
        ]

    assert await settled(house, "accepted") == "registered"
    name = await shelved(house)
    await house.store.note_call(TIANHE, no, resident)
    assert await called_about() == [["allotted"]]
    assert (await house.call("POST", f"/operations/dead/{name}/resend", bearer=OPERATOR)).status_code == 204
    assert await called_about() == []
    assert await settled(house, "refused") == "allotted"
    await house.store.note_call(TIANHE, no, resident)
    change = Change(resident, no, "manager")
    assert await house.store.reopen(change, Appointment("T1", MONDAY.isoformat(), "am"), "a storm") == "reopened"
    name = await shelved(house)
    assert await called_about() == [["allotted", "closed"]]
    assert (await house.call("POST", f"/operations/dead/{name}/resend", bearer=OPERATOR)).status_code == 204
    assert len(await called_about()) == 1, "of the other one they still know nothing"


async def test_a_crash_while_sending_again_loses_no_message(house: House) -> None:
    await house.at("08:30:00")
    await house.registered(person(0))
    name = await shelved(house)
    assert await house.store.unshelve_message(house.resident(person(0)), 1)  # and then it died
    assert (await house.call("POST", f"/operations/dead/{name}/resend", bearer=OPERATOR)).status_code == 204
    assert (await house.get("/operations/dead", bearer=OPERATOR))["dead"] == []
    assert await owed_now(house) == 1
    assert await settled(house, "accepted") == "registered"


# Capacity


async def upload(house: House, content: str | bytes, **how: Any) -> Any:
    headers = {"content-type": "text/csv"}
    return await house.call("POST", "/capacity", bearer=OPERATOR, content=content, headers=headers, **how)


async def slots(house: House, day: date = MONDAY, code: str = TIANHE) -> dict[bytes, bytes]:
    client: Any = house.store.client
    kept: dict[bytes, bytes] = await client.hgetall(f"slots:{{{code}:{day}}}")
    return kept


async def test_capacity_is_taken_from_a_file_and_what_is_lower_than_given_is_told(house: House) -> None:
    await house.at("08:30:00")
    rows = ["T1,2021-06-21,am,inactivated,2", "T1,2021-06-21,am,inactivated,2", " B1 ,2021-06-22,pm,cho, 007 "]
    answer = await upload(house, "\ufeff" + "\r\n".join([HEADER, *rows, ""]))
    assert (answer.status_code, answer.json()) == (200, {"rows": 3, "slots": 2, "lowered": []})
    assert answer.headers["cache-control"] == "no-store"
    assert await slots(house) == {b"T1|am|inactivated": b"2"}
    assert await slots(house, TUESDAY, BAIYUN) == {b"B1|pm|cho": b"7"}
    nos = [(await house.registered(person(i)))["registration_no"] for i in range(2)]
    for i, no in enumerate(nos):
        giving = SlotGrant(RosterEntry(no, house.resident(person(i)), "T1", "am", "inactivated"), MONDAY)
        assert await house.services.appointments.give(TIANHE, [giving], "night") == ["booked"]
    answer = await upload(house, f"{HEADER}\nT1,2021-06-21,am,inactivated,1\nT1,2021-06-21,pm,inactivated,0\n")
    assert answer.json() == {
        "rows": 2, "slots": 2,
        "lowered": [
            {"date": "2021-06-21", "site": "T1", "period": "am", "product": "inactivated", "capacity": 1, "taken": 2}
        ],
    }  # fmt: skip
    assert len(await house.store.roster(f"{TIANHE}:{MONDAY}")) == 2, "nobody is thrown out"
    found = [it for it in of(await look(house))["slots"] if it["period"] == "am"]
    assert [(it["capacity"], it["taken"]) for it in found] == [(1, 2)]
    # Of a slot that the file does not name nothing is said.
    assert (await upload(house, f"{HEADER}\nT1,2021-06-21,pm,inactivated,5\n")).json()["lowered"] == []
    # A curl that says nothing of the kind of its file is understood as well.
    plain = await house.call("POST", "/capacity", bearer=OPERATOR, content=f"{HEADER}\nT1,2021-06-21,pm,cho,5\n")
    assert plain.json() == {"rows": 1, "slots": 1, "lowered": []}


@pytest.mark.parametrize(
    ("bad", "field", "zh", "en"),
    [
        ("T9,2021-06-21,am,cho,1", "line 3, column 1 (site)", "没有这个接种点", "No such site"),
        ("T1,2021-02-29,am,cho,1", "line 3, column 2 (date)", "YYYY-MM-DD", "YYYY-MM-DD"),
        ("T1,2021-06-21,any,cho,1", "line 3, column 3 (period)", "am 或 pm", "am or pm"),
        ("T1,2021-06-21,am,tea,1", "line 3, column 4 (product)", "没有这种疫苗", "no such product"),
        ("T1,2021-06-21,am,cho,-1", "line 3, column 5 (capacity)", "整数", "whole number"),
        ("T1,2021-06-21,am,cho", "line 3", "五栏", "five columns"),
        ('T1,2021-06-21,am,cho,"1', "line 4, column 5 (capacity)", "整数", "whole number"),
    ],
)
async def test_a_bad_row_is_told_by_line_and_column_and_nothing_is_kept(
    house: House, bad: str, field: str, zh: str, en: str
) -> None:
    before = await house.everything()
    content = f"{HEADER}\nT1,2021-06-21,am,inactivated,9\n{bad}\nT1,2021-06-22,am,inactivated,9\n"
    for lang, words in (("zh", zh), ("en", en)):
        problem = refused(await upload(house, content, lang=lang), "invalid", 422)
        assert [it["field"] for it in problem["errors"]] == [field]
        assert words in problem["errors"][0]["message"]
        assert problem["bad_rows"] == 1
    assert await house.everything() == before


async def test_many_bad_rows_are_counted_and_the_first_ten_shown(house: House) -> None:
    content = "\n".join([HEADER, *("T1,2021-06-21,am,cho,x" for _ in range(25))])
    problem = refused(await upload(house, content), "invalid", 422)
    assert problem["bad_rows"] == 25
    assert [it["field"] for it in problem["errors"]] == [f"line {n}, column 5 (capacity)" for n in range(2, 12)]


@pytest.mark.parametrize(
    "content",
    [
        b"site,date\nT1,2021-06-21\n",
        b"\x00\x01\x02",
        "站点,日期\n".encode("gbk"),
        b'"' + b"x" * 200_000,
        b"\n",
    ],
)
async def test_another_file_is_refused(house: House, content: bytes) -> None:
    before = await house.everything()
    problem = refused(await upload(house, content), "invalid", 422)
    assert [it["field"] for it in problem["errors"]] == ["line 1"]
    assert HEADER in problem["errors"][0]["message"]
    assert await house.everything() == before


async def test_broken_text_far_down_is_told_and_nothing_is_kept(house: House) -> None:
    before = await house.everything()
    rows = "".join("T1,2021-06-21,am,cho,1\n" for _ in range(2000))
    problem = refused(await upload(house, f"{HEADER}\n{rows}".encode() + b"\xff\xfe"), "invalid", 422)
    assert problem["errors"][0]["field"].startswith("line ")
    assert await house.everything() == before


async def test_nothing_at_all_and_too_much_are_refused(house: House) -> None:
    before = await house.everything()
    refused(await upload(house, b""), "malformed", 400)
    row = "T1,2021-06-21,am,inactivated,1\n"
    fits, too_much = (f"{HEADER}\n" + row * (count // len(row)) for count in (2_000_000, 2_100_000))
    refused(await upload(house, too_much), "malformed", 400)
    assert await house.everything() == before
    answer = await upload(house, fits)
    assert answer.json()["slots"] == 1
