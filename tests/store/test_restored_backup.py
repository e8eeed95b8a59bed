"""A store that was restored from a backup: its files as they were some time ago, and nobody who remembers the rest.

What was acknowledged since is not in it. So it is said to be lost, or made good by whoever holds a signed paper of it;
no number is given to two people, and nothing stale is sent.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core.keys import opening_tag
from server.operations.restored import raise_given
from server.store.embedded import EmbeddedStore
from tests.support.serving import DAY, TIANHE, House, Jiaohao, enrol, keep_sites, open_house, person, refused

TAG = opening_tag(TIANHE, DAY)


class Phone:
    """A gateway that takes everything, and keeps it."""

    ready = 50

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    async def submit(self, phone: str, text: str) -> list[str]:
        """Take a message."""
        self.texts.append((phone, text))
        return []

    def of(self, i: int) -> list[str]:
        """What somebody got."""
        return [text for phone, text in self.texts if phone == person(i).phone]


class Life:
    """What people hold of the time since the backup.

    Attributes:
        before: who registered before it; after: after it.
        waiting: the ticket of one who joined after it, and waits.
        pass_: of one who had claimed, and not registered.
        phone: what was sent.
    """

    before: Any
    after: Any
    waiting: str
    pass_: str

    def __init__(self) -> None:
        self.phone = Phone()


async def live(house: House, life: Life, data: Path, backup: Path) -> None:
    await enrol(house.store, [person(i) for i in range(12)])
    await keep_sites(house.store)
    await house.store.open_outbox([district.code for district in house.services.city.districts])
    await house.at("09:00:00")
    life.before = await house.registered(person(0))
    shutil.copytree(data, backup, ignore=shutil.ignore_patterns("*.sock", "store.pid", "store.url", "lock"))
    await house.services.sender.send_messages(life.phone, "test")
    await house.forward(30)
    life.after = await house.registered(person(1))
    ticket = (await house.join(person(2)))["ticket"]
    await house.forward(1)
    life.pass_ = await house.claim(ticket)
    life.waiting = (await house.join(person(3)))["ticket"]
    await house.services.sender.send_messages(life.phone, "test")
    assert (len(life.phone.of(0)), len(life.phone.of(1))) == (1, 1)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    yield tmp_path / "data", tmp_path / "backup"


@asynccontextmanager
async def restored(folders: tuple[Path, Path]) -> AsyncIterator[tuple[House, Life]]:
    """A service that has just been started on the backup, a minute later."""
    data, backup = folders
    life = Life()
    with EmbeddedStore(data) as store:
        async with open_house(store.url) as house:
            await live(house, life, data, backup)
    with EmbeddedStore(backup) as store:
        async with open_house(store.url) as house:
            await house.at("09:02:00")
            await house.forward(2)  # for a second it gives nobody anything: another node has taken over, as it looks
            yield house, life


def path_of(done: Any) -> str:
    return f"/registrations/{done['registration_no']}"


async def test_who_was_registered_in_between_is_told_that_it_is_lost_and_registers_again(
    folders: tuple[Path, Path],
) -> None:
    async with restored(folders) as (house, life):
        assert (await house.get(path_of(life.before), bearer=life.before["receipt"]))["state"] == "proposed"
        for method, path in (("GET", ""), ("POST", "/cancellation"), ("PATCH", "")):
            how: dict[str, Any] = {"json": {"preferences": [], "accept_any_site": True}} if method == "PATCH" else {}
            answer = await house.call(method, path_of(life.after) + path, bearer=life.after["receipt"], **how)
            problem = refused(answer, "not-found", 404)
            assert problem["reason"] == "lost"
            assert "请重新取号登记" in problem["detail"]
        other = await house.call("GET", path_of(life.after), bearer=life.before["receipt"])
        assert "reason" not in refused(other, "not-found", 404), "of another's number nothing is told"
        again = await house.registered(person(1))
        assert again["registration_no"] != life.after["registration_no"]
        late = refused(await house.call("GET", path_of(life.after), bearer=life.after["receipt"]), "not-found", 404)
        assert late["reason"] == "lost"


async def test_a_receipt_of_a_lost_registration_keeps_its_number_from_everybody_else(
    folders: tuple[Path, Path],
) -> None:
    async with restored(folders) as (house, life):
        await house.call("GET", path_of(life.after), bearer=life.after["receipt"])
        await house.look()
        new = await house.registered(person(5))
        assert new["registration_no"] not in (life.before["registration_no"], life.after["registration_no"])


async def test_a_signed_pass_still_registers_and_a_signed_ticket_has_its_place(folders: tuple[Path, Path]) -> None:
    async with restored(folders) as (house, life):
        answer = await house.register(life.pass_)
        assert answer.status_code == 201, answer.text
        told = await house.get("/ticket", bearer=life.waiting)
        assert told["number"] == 4, "after the three before: its own"
        numbers = [told["number"], (await house.join(person(5)))["number"]]
        assert len(set(numbers)) == 2


async def test_with_the_count_that_people_outside_remember_no_number_is_given_twice(
    folders: tuple[Path, Path],
) -> None:
    async with restored(folders) as (house, life):
        assert await raise_given(house.store, [(TAG, 4)], dry_run=True) == [(TAG, 3)]
        assert await raise_given(house.store, [(TAG, 4)]) == [(TAG, 3)]
        assert await raise_given(house.store, [(TAG, 4)]) == [(TAG, 0)]
        new = await house.registered(person(5))
        entries = [int(it["registration_no"][7:14]) for it in (life.before, life.after, new)]
        assert entries == [0, 1, 4]
        assert (await house.register(life.pass_)).json()["registration_no"][7:14] == "0000002"
        assert (await house.get("/ticket", bearer=life.waiting))["number"] == 4


async def test_the_operator_says_that_count_to_the_command(folders: tuple[Path, Path], jiaohao: Jiaohao) -> None:
    def repair(*arguments: str) -> tuple[int, str, str]:
        return jiaohao("repair", "--dry-run", *arguments, JIAOHAO_REDIS_URL=url, JIAOHAO_SECRET=(b"p" * 32).hex())

    async with restored(folders) as (house, _):
        url = (folders[1] / "store.url").read_text()
        code, out, _ = await asyncio.to_thread(repair, "--given", f"{TAG}=4")
        kept = f"{TAG}: 3 places that the store had forgotten would be kept for who shows their tickets"
        assert code == 0 and kept in out.splitlines()
        for wrong, status in ((f"{TAG}", 2), ("440106=4", 2), ("440106:2021-06-20=4", 1)):
            code, _, err = await asyncio.to_thread(repair, "--given", wrong)
            assert code == status, err
        assert (await house.join(person(5)))["entry"] == 1, "a dry run keeps nothing: so it is without the count"


async def test_what_was_sent_is_repeated_once_at_most_and_nothing_of_it_when_it_is_stale(
    folders: tuple[Path, Path],
) -> None:
    async with restored(folders) as (house, life):
        await house.at("09:00:00", DAY + timedelta(days=3))  # restored days later
        await house.services.sender.send_messages(life.phone, "test")
        assert (len(life.phone.of(0)), len(life.phone.of(1))) == (1, 1)
        seen = await house.get(path_of(life.before), bearer=life.before["receipt"])
        assert [(it["kind"], it["state"], it.get("why")) for it in seen["messages"]] == [
            ("registered", "unsent", "too-late")
        ]


async def test_restored_at_once_the_message_since_the_backup_goes_out_a_second_time_and_no_third(
    folders: tuple[Path, Path],
) -> None:
    async with restored(folders) as (house, life):
        for _ in range(2):
            await house.services.sender.send_messages(life.phone, "test")
        assert (len(life.phone.of(0)), len(life.phone.of(1))) == (2, 1)
