"""Retention and rotation: what is no longer needed goes, the rest stays; an earlier secret can be given up."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from redis import Redis

from server.appointments.appointments import Appointments
from server.core.city import load_city
from server.core.clock import Clock
from server.core.encryption import Cipher, Contact, SeedCipher, Unreadable
from server.core.keys import Pepper, fingerprint
from server.operations.importing import REGISTRY_COLUMNS, CsvFile, RegistryKeeper, registry_reader
from server.operations.key_rotation import Resealed, reseal
from server.operations.retention import Purged, purge
from server.operations.walking import resident_of
from server.records.first_dose import FirstDoseRecord
from server.records.registration import NewRegistration
from server.records.statuses import known
from server.store.connecting import connect
from tests.support.serving import BAIYUN, TIANHE, Jiaohao, person, registry_csv
from tests.support.stores import FIELDS, Store, swap

SHANGHAI = ZoneInfo("Asia/Shanghai")
BEFORE = date(2021, 9, 1)
BOUND_MS = 1_630_425_600_000  # 2021-09-01T00:00:00+08:00, from `date -d`
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
CONTACT = Contact("张三", "13800138000")
OF_RESIDENT = ("registration", "past", "history", "no_shows")


def resident(index: int) -> bytes:
    return index.to_bytes(16, "big")


def tag_of(who: bytes) -> str:
    return urlsafe_b64encode(who).decode().rstrip("=")


async def names(store: Store) -> set[str]:
    return {name.decode() async for name in store.client.scan_iter()}


async def everything(store: Store) -> dict[str, bytes]:
    client: Any = store.client
    return {name: await client.dump(name) for name in await names(store)}


async def keep_opening(store: Store, tag: str) -> None:
    """Every kind of key that an opening and a day of slots can have."""
    client: Any = store.client
    for kind in ("opening", "places", "claims", "roster", "unsettled", "slots", "taken", "closures"):
        await client.hset(f"{kind}:{{{tag}}}", "field", "value")
    await client.setbit(f"done:{{{tag}}}", 3, 1)
    await client.zadd(f"calls:{{{tag}}}", {"1:2": 1})
    await client.zadd(f"passes:{{{tag}}}", {"1": 2})
    await client.rpush(f"left:{{{tag}}}", "1")
    await client.xadd(f"audit:{{{tag}}}", {"actor": "operator"})


async def keep_record(store: Store, who: bytes, *, day: int = 737_911, cipher: Cipher | None = None) -> FirstDoseRecord:
    record = FirstDoseRecord(day, "cho", TIANHE, b"m" * 12, (cipher or Cipher([NEW])).encrypt(who, CONTACT))
    await store.keep_first_doses([(who, record)])
    return record


async def keep_registration(store: Store, who: bytes, state: str, closed_ms: int | None, stop: str | None) -> None:
    """A resident with a latest registration, earlier ones, a history and a no-show."""
    client: Any = store.client
    tag = tag_of(who)
    fields: dict[str, Any] = {"no": "106190100000013", "state": state, "registered_ms": 1_624_060_800_000}
    if closed_ms is not None:
        fields["closed_ms"] = closed_ms
    await client.hset(f"registration:{{{tag}}}", mapping=fields)
    await client.sadd(f"past:{{{tag}}}", "106190100000021")
    await client.rpush(f"history:{{{tag}}}", '[1,"106190100000013","cancelled","resident",""]')
    await client.set(f"no_shows:{{{tag}}}", 1)
    if stop is not None:
        await client.set(f"stop:{{{tag}}}", stop)


async def record_of(store: Store, who: bytes) -> FirstDoseRecord | None:
    return (await store.residents([who]))[0].first_dose


async def test_an_opening_that_is_long_over_names_nobody_any_more(store: Store) -> None:
    old, young = f"{TIANHE}:2021-08-31", f"{TIANHE}:2021-09-01"
    for tag in (old, young, f"{BAIYUN}:2021-08-31", f"{BAIYUN}:2022-01-01"):
        await keep_opening(store, tag)
    before = await everything(store)
    dry = await purge(store, BEFORE, SHANGHAI, dry_run=True)
    assert await everything(store) == before
    done = await purge(store, BEFORE, SHANGHAI)
    assert done == dry == Purged(openings=2)
    after = await everything(store)
    assert after == {
        name: value
        for name, value in before.items()
        if "2021-08-31" not in name or name.startswith(("opening:", "audit:", "slots:", "taken:", "closures:"))
    }
    assert len(before) - len(after) == 2 * 8
    assert await purge(store, BEFORE, SHANGHAI) == Purged()


async def test_who_had_registered_on_a_day_goes_with_it(store: Store) -> None:
    for no, day in (("108310100000015", "2021-08-31"), ("109010100000018", "2021-09-01")):
        new = NewRegistration(resident(int(no) % 97), 9_000_000_000_000, no, "", {**FIELDS, "date": day})
        assert known(await store.register([new]))[0].status == "registered"
    await purge(store, BEFORE, SHANGHAI)
    assert [line async for page in store.registered(date(2021, 8, 31)) for line in page] == []
    assert len([line async for page in store.registered(date(2021, 9, 1)) for line in page]) == 1


async def test_a_day_begins_in_the_city(store: Store) -> None:
    for i, closed_ms in enumerate((BOUND_MS - 1, BOUND_MS)):
        await keep_registration(store, resident(i), "cancelled", closed_ms, None)
    assert await purge(store, BEFORE, SHANGHAI) == Purged(residents=1)
    assert await names(store) == {f"{kind}:{{{tag_of(resident(1))}}}" for kind in OF_RESIDENT}


@pytest.mark.parametrize(
    ("state", "stop", "kept"),
    [
        ("cancelled", None, set()),
        ("noshow", None, set()),
        ("fulfilled", "done 2021-06-25", {"stop"}),  # they have had it: that stays
    ],
)
async def test_who_was_done_long_ago_is_forgotten_but_their_first_dose_is_not(
    store: Store, state: str, stop: str | None, kept: set[str]
) -> None:
    who = resident(7)
    record = await keep_record(store, who)
    await keep_registration(store, who, state, BOUND_MS - 1, stop)
    before = await everything(store)
    dry = await purge(store, BEFORE, SHANGHAI, dry_run=True)
    assert await everything(store) == before
    assert await purge(store, BEFORE, SHANGHAI) == dry == Purged(residents=1)
    assert await names(store) == {f"{kind}:{{{tag_of(who)}}}" for kind in kept | {"registry"}}
    assert await record_of(store, who) == msgspec.structs.replace(record, contact=b"")


@pytest.mark.parametrize(
    ("state", "closed_ms", "stop"),
    [
        ("proposed", None, "open 106190100000013"),
        ("booked", None, "open 106190100000013"),
        ("arrived", None, "open 106190100000013"),
        ("cancelled", BOUND_MS, None),
        ("fulfilled", BOUND_MS + 1, "done 2021-06-25"),
        ("cancelled", None, None),  # closed, nobody knows when
    ],
)
async def test_who_is_not_done_keeps_everything(
    store: Store, state: str, closed_ms: int | None, stop: str | None
) -> None:
    await keep_record(store, resident(7))
    await keep_registration(store, resident(7), state, closed_ms, stop)
    before = await everything(store)
    for registry in (False, True):
        assert await purge(store, BEFORE, SHANGHAI, registry=registry) == Purged()
    assert await everything(store) == before


async def test_who_is_barred_stays_until_the_bar_is_lifted(store: Store) -> None:
    who = resident(7)
    await keep_record(store, who)
    await keep_registration(store, who, "noshow", BOUND_MS - 1, "barred")
    before = await everything(store)
    for registry in (False, True):
        assert await purge(store, BEFORE, SHANGHAI, registry=registry) == Purged(barred=1)
    assert await everything(store) == before
    await store.client.delete(f"stop:{{{tag_of(who)}}}")
    assert await purge(store, BEFORE, SHANGHAI) == Purged(residents=1)


async def test_a_line_that_nobody_imported_goes_with_the_registration(store: Store) -> None:
    await keep_record(store, resident(7), day=0)
    await keep_registration(store, resident(7), "cancelled", BOUND_MS - 1, None)
    dry = await purge(store, BEFORE, SHANGHAI, dry_run=True)
    assert await purge(store, BEFORE, SHANGHAI) == dry == Purged(residents=1, lines=1)
    assert await names(store) == set()


async def test_at_the_end_of_the_campaign_the_registry_goes_too(store: Store) -> None:
    never, done, busy = resident(1), resident(2), resident(3)
    for who in (never, done, busy):
        await keep_record(store, who)
    await keep_registration(store, done, "cancelled", BOUND_MS - 1, None)
    await keep_registration(store, busy, "booked", None, "open 106190100000013")
    assert await purge(store, BEFORE, SHANGHAI, dry_run=True) == Purged(residents=1)
    before = await everything(store)
    dry = await purge(store, BEFORE, SHANGHAI, registry=True, dry_run=True)
    assert await everything(store) == before
    assert await purge(store, BEFORE, SHANGHAI, registry=True) == dry == Purged(residents=1, lines=2)
    assert {name for name in await names(store) if name.startswith("registry:")} == {f"registry:{{{tag_of(busy)}}}"}
    assert await record_of(store, busy) is not None


async def test_who_registers_again_in_that_moment_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    who, client = resident(7), store.client
    record = await keep_record(store, who)
    await keep_registration(store, who, "cancelled", BOUND_MS - 1, None)
    read = store.latest

    async def read_then_they_register(*args: Any) -> Any:
        found = await read(*args)
        pass_expires_ms = 9_000_000_000_000
        new = NewRegistration(who, pass_expires_ms, "190210100000016", "", FIELDS)
        assert known(await store.register([new]))[0].status == "registered"
        return found

    swap(monkeypatch, store, "latest", read_then_they_register)
    assert await purge(store, BEFORE, SHANGHAI) == Purged()
    assert (await store.registration_fields(who))["state"] == "proposed"
    assert await record_of(store, who) == record
    assert await client.exists(f"history:{{{tag_of(who)}}}") == 1


async def test_of_many_residents_and_days_none_is_passed_over(store: Store) -> None:
    for i in range(1201):
        await store.client.hset(
            f"registration:{{{tag_of(resident(i))}}}", mapping={"no": "1", "state": "cancelled", "closed_ms": 5}
        )
    for day in range(1, 31):
        await store.client.hset(f"places:{{{TIANHE}:2021-06-{day:02d}}}", "a", "b")
    told: list[int] = []
    done = await purge(store, BEFORE, SHANGHAI, progress=told.append)
    assert done == Purged(openings=30, residents=1201)
    assert told == sorted(told)
    assert told[-1] >= 1231  # a SCAN may meet a key twice
    assert await names(store) == set()


# Rotation


def test_a_tag_stands_for_its_resident() -> None:
    for i in (0, 1, 255, 2**128 - 1, 62 << 122, 63 << 122):
        assert resident_of(tag_of(resident(i))) == resident(i)


async def test_after_a_rotation_the_old_secret_is_not_needed(store: Store) -> None:
    people = [resident(i) for i in range(600)]
    lines = [
        (who, FirstDoseRecord(737_911, "cho", TIANHE, who[:12], Cipher([OLD]).encrypt(who, CONTACT))) for who in people
    ]
    await store.keep_first_doses(lines)
    new = await keep_record(store, resident(1000), cipher=Cipher([NEW]))
    blank = FirstDoseRecord(737_911, "cho", TIANHE, b"m" * 12)
    await store.keep_first_doses([(resident(1001), blank)])
    done = await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD]))
    assert (done.resealed, done.unreadable, done.owed) == (600, 0, 0)
    assert done.current >= 1  # a SCAN may meet a key twice
    only_new = Cipher([NEW])
    for who, before in lines:
        record = await record_of(store, who)
        assert record is not None
        assert only_new.decrypt(who, record.contact) == CONTACT
        assert msgspec.structs.replace(record, contact=b"") == msgspec.structs.replace(before, contact=b"")
    assert await record_of(store, resident(1000)) == new
    assert await record_of(store, resident(1001)) == blank
    before_again = await everything(store)
    again = await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD]))
    assert (again.resealed, again.unreadable) == (0, 0)
    assert again.current >= 601
    assert await everything(store) == before_again


async def test_what_cannot_be_read_is_told_and_left_as_it_is(store: Store) -> None:
    lost = await keep_record(store, resident(1), cipher=Cipher([OTHER]))
    stolen = FirstDoseRecord(1, "cho", TIANHE, b"m" * 12, Cipher([OLD]).encrypt(resident(9), CONTACT))
    await store.keep_first_doses([(resident(2), stolen)])
    await keep_record(store, resident(3), cipher=Cipher([OLD]))
    done = await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD]))
    assert done == Resealed(resealed=1, unreadable=2, unreadable_ids={fingerprint(OTHER), fingerprint(OLD)})
    assert await record_of(store, resident(1)) == lost
    assert await record_of(store, resident(2)) == stolen


async def test_a_line_imported_in_that_moment_is_not_overwritten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    who = resident(1)
    await keep_record(store, who, cipher=Cipher([OLD]))
    imported = FirstDoseRecord(737_950, "inactivated", BAIYUN, b"i" * 12, Cipher([OLD]).encrypt(who, CONTACT))
    replace_record, calls = store.replace_record, 0

    async def import_first(changes: Sequence[tuple[str, bytes, bytes]]) -> list[bool]:
        nonlocal calls
        calls += 1
        if calls == 1:
            await store.keep_first_doses([(who, imported)])
        return await replace_record(changes)

    swap(monkeypatch, store, "replace_record", import_first)
    assert await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD])) == Resealed(resealed=1)
    record = await record_of(store, who)
    assert record is not None
    assert (record.day, record.product, record.district) == (737_950, "inactivated", BAIYUN)
    assert Cipher([NEW]).decrypt(who, record.contact) == CONTACT
    assert calls == 2


async def test_a_line_that_lives_for_a_time_only_still_does(store: Store) -> None:
    who = resident(1)
    await keep_record(store, who, cipher=Cipher([OLD]))
    await store.client.pexpire(f"registry:{{{tag_of(who)}}}", 3_600_000)
    await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD]))
    assert 0 < await store.client.pttl(f"registry:{{{tag_of(who)}}}") <= 3_600_000


async def test_seeds_that_are_not_revealed_yet_need_the_earlier_secret_no_more(store: Store) -> None:
    earlier, tags = SeedCipher([OLD]), ("440106:2021-06-19", "440106:2021-06-20", "440106:2021-06-21")
    names = [("opening", tags[0]), ("opening", tags[1]), ("night", tags[0])]
    lost = SeedCipher([OTHER]).seal(f"draw {tags[2]}", b"d" * 32)
    sealed = [earlier.seal(f"draw {tag}", b"draw" * 8) for tag in tags[:2]]
    sealed.append(earlier.seal(f"night {tags[0]}", b"n" * 32))
    kept = [(kind, tag, text) for (kind, tag), text in zip(names, sealed, strict=True)]
    await store.keep_sealed([*kept, ("opening", tags[2], lost)])
    done = await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD]))
    assert (done.seeds, done.unreadable, done.unreadable_ids) == (3, 1, {fingerprint(OTHER)})
    now = await store.sealed_seeds(names)
    only_new = SeedCipher([NEW])
    assert only_new.unseal(f"draw {tags[0]}", now[0] or "") == b"draw" * 8
    assert only_new.unseal(f"night {tags[0]}", now[2] or "") == b"n" * 32
    assert await store.sealed_seeds([("opening", tags[2])]) == [lost]
    with pytest.raises(Unreadable):
        only_new.unseal(f"draw {tags[1]}", now[0] or "")
    again = await reseal(store, Cipher([NEW, OLD]), SeedCipher([NEW, OLD]))
    assert again.seeds == 0


# The commands


@pytest.fixture
def jiaohao(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """Runs a command against a store, with the new secret; (exit code, standard output, standard error)."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", NEW.hex())
    return jiaohao


def registry_with(secret: bytes, store_url: str, folder: Path) -> None:
    """Import two people whose contacts are sealed with a secret."""

    async def run() -> None:
        city = load_city()
        read = registry_reader(city, Pepper(b"p" * 32), date(2021, 6, 19))
        file = registry_csv(folder / "r.csv", [person(0), person(1)])
        store = Store(await connect(store_url))
        rows = CsvFile(file, REGISTRY_COLUMNS, lambda _: None).rows(read)
        keeper = RegistryKeeper(store, city, Cipher([secret]), Appointments(city, store, Clock()))
        assert [n async for n in keeper.keep(rows)] == [2]
        await store.close()

    asyncio.run(run())


def test_reseal_says_whether_the_old_secret_may_go(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    registry_with(OLD, store_url, tmp_path)
    code, out, err = jiaohao("reseal", JIAOHAO_PEPPER=OLD.hex())
    assert (code, out) == (1, "0 contacts resealed, 0 had the current secret already\n")
    assert f"2 contacts cannot be read (key id {fingerprint(OLD)})" in err
    assert OLD.hex() not in err and len(err.splitlines()) == 1
    code, out, err = jiaohao("reseal", JIAOHAO_PREVIOUS_SECRETS=OLD.hex(), JIAOHAO_PEPPER="")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "2 contacts resealed, 0 had the current secret already",
        "contacts need no earlier secret any more; receipts signed with one end with it",
        "before you drop JIAOHAO_PREVIOUS_SECRETS, keep its last secret as JIAOHAO_PEPPER: see --help",
    ]
    code, out, _ = jiaohao("reseal", JIAOHAO_PREVIOUS_SECRETS=OLD.hex(), JIAOHAO_PEPPER=OLD.hex())
    assert (code, len(out.splitlines())) == (0, 2)
    assert out.startswith("0 contacts resealed, 2 had the current secret already\n")
    with Redis.from_url(store_url) as client:
        client.xadd(f"outbox:{{{TIANHE}}}", {"kind": "code"})
    out = jiaohao("reseal", JIAOHAO_PREVIOUS_SECRETS=OLD.hex())[1]
    assert out.splitlines()[1].startswith("1 messages wait to be sent")
    code, out, err = jiaohao("reseal", JIAOHAO_PREVIOUS_SECRETS="")
    assert (code, out, err) == (0, "0 contacts resealed, 2 had the current secret already\n", "")


def keep_cancelled(store_url: str) -> None:
    with Redis.from_url(store_url) as client:
        fields = {"no": "1", "state": "cancelled", "closed_ms": BOUND_MS - 1}
        client.hset(f"registration:{{{tag_of(resident(1))}}}", mapping=fields)
        client.hset(f"places:{{{TIANHE}:2021-08-31}}", "a", "b")


def test_purge_says_what_it_would_do_and_then_does_it(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    registry_with(NEW, store_url, tmp_path)
    keep_cancelled(store_url)
    what = "what was over before 2021-09-01: 1 days of districts, 1 residents' registrations"
    assert jiaohao("purge", "--before", "2021-09-01", "--dry-run") == (0, f"would delete {what}\n", "")
    assert jiaohao("purge", "--by-day", "--before", "2021-09-01") == (0, f"deleted {what}\n", "")
    with Redis.from_url(store_url) as client:
        assert {name.partition(b":")[0] for name in client.scan_iter()} == {b"registry", b"pepper", b"format"}


def test_purge_by_itself_keeps_what_the_city_file_says(jiaohao: Jiaohao, store_url: str) -> None:
    keep_cancelled(store_url)
    import time

    # The city's clock stands at noon of the 89th day after, then of the 90th: the file says 90 days.
    for noon, expected in (("2021-11-29", "before 2021-08-31: 0 days"), ("2021-11-30", "before 2021-09-01: 1 days")):
        wanted_s = (date.fromisoformat(noon) - date(2021, 9, 1)).days * 86_400 + BOUND_MS // 1000 + 43_200
        with Redis.from_url(store_url) as client:
            client.set("clock:{clock}", round((wanted_s - time.time()) * 1000))  # as the service keeps it
        code, out, _ = jiaohao("purge", "--by-day")
        assert code == 0
        assert expected in out


@pytest.mark.parametrize(("hour", "code"), [(7, 0), (8, 1), (19, 1), (20, 0)])
def test_purge_keeps_to_the_hours_in_which_nobody_is_in_line(
    jiaohao: Jiaohao, store_url: str, hour: int, code: int
) -> None:
    keep_cancelled(store_url)
    import time

    wanted_s = BOUND_MS // 1000 + 200 * 86_400 + hour * 3600 + 60
    with Redis.from_url(store_url) as client:
        client.set("clock:{clock}", round((wanted_s - time.time()) * 1000))
    ended, out, err = jiaohao("purge")
    assert ended == code
    assert ("deleted" in out) if code == 0 else ("--by-day" in err)


def test_purge_asks_before_it_forgets_the_registry(
    jiaohao: Jiaohao, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    registry_with(NEW, store_url, tmp_path)
    lines = "0 days of districts, 0 residents' registrations, 2 registry lines\n"
    code, out, _ = jiaohao("purge", "--by-day", "--registry", "--dry-run")
    assert code == 0 and out.startswith("would delete") and out.endswith(lines)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert jiaohao("purge", "--by-day", "--registry")[0] == 130
    with Redis.from_url(store_url) as client:
        assert len(list(client.scan_iter("registry:*"))) == 2
        code, out, _ = jiaohao("purge", "--by-day", "--registry", "--yes")
        assert code == 0 and out.startswith("deleted") and out.endswith(lines)
        assert list(client.scan_iter("registry:*")) == []


def test_purge_of_days_to_come_is_refused(jiaohao: Jiaohao, store_url: str) -> None:
    keep_cancelled(store_url)
    code, out, err = jiaohao("purge", "--by-day", "--before", "2999-01-01")
    assert (code, out) == (2, "")
    assert "expected a day not after today" in err
    with Redis.from_url(store_url) as client:
        assert len(list(client.scan_iter("registration:*"))) + len(list(client.scan_iter("places:*"))) == 2


def test_both_commands_work_on_a_cluster(jiaohao: Jiaohao, cluster_url: str, tmp_path: Path) -> None:
    registry_with(OLD, cluster_url, tmp_path)
    code, out, err = jiaohao("reseal", "--redis-url", cluster_url, JIAOHAO_PREVIOUS_SECRETS=OLD.hex())
    assert (code, err) == (0, "")
    assert out.startswith("2 contacts resealed")
    code, out, err = jiaohao("purge", "--by-day", "--registry", "--yes", "--redis-url", cluster_url)
    assert (code, err) == (0, "")
    assert out.endswith("2 registry lines\n")


@pytest.mark.parametrize("command", ["reseal", "purge"])
def test_where_no_store_answers_it_is_one_line(jiaohao: Jiaohao, command: str, tmp_path: Path) -> None:
    code, out, err = jiaohao(command, "--redis-url", f"unix://{tmp_path}/nobody")
    assert (code, out) == (1, "")
    assert "no store answers" in err and len(err.splitlines()) == 1
