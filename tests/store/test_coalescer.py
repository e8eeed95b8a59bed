"""Shared store calls: everybody gets their own answer or their own error, and nobody is left hanging."""

import asyncio
from collections.abc import Sequence

import pytest

from server.core.errors import Overloaded, StoreUnavailable
from server.store.coalescer import Coalescer


class Line:
    """A store call that the test lets through, one at a time."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gates: list[asyncio.Future[None]] = []
        self.called = asyncio.Event()

    async def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(items)
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        self.called.set()
        await gate
        return [item * 10 if item >= 0 else ValueError(str(item)) for item in items]


async def turns(count: int = 5) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_lone_request_waits_for_nobody() -> None:
    line = Line()
    answer = Coalescer(line).submit(1)
    await turns()
    assert line.batches == [[1]]
    line.gates[0].set_result(None)
    assert await answer == 10


async def test_requests_of_the_same_moment_share_a_call() -> None:
    line = Line()
    shared = Coalescer(line)
    answers = [shared.submit(i) for i in range(100)]
    await turns()
    assert line.batches == [list(range(100))]
    line.gates[0].set_result(None)
    assert await asyncio.gather(*answers) == [i * 10 for i in range(100)]
    assert shared.load == 0


async def test_who_comes_during_a_call_shares_the_next_one() -> None:
    line = Line()
    shared = Coalescer(line, max_calls=1)
    first = shared.submit(1)
    await turns()
    later = [shared.submit(i) for i in (2, 3, 4)]
    await turns()
    assert line.batches == [[1]]
    line.gates[0].set_result(None)
    assert await first == 10
    await turns()
    assert line.batches == [[1], [2, 3, 4]]
    line.gates[1].set_result(None)
    assert await asyncio.gather(*later) == [20, 30, 40]


async def test_a_batch_is_bounded_and_so_are_the_calls() -> None:
    line = Line()
    shared = Coalescer(line, max_batch=3, max_calls=2)
    answers = [shared.submit(i) for i in range(8)]
    await turns()
    assert line.batches == [[0, 1, 2], [3, 4, 5]]
    line.gates[1].set_result(None)
    await turns()
    assert line.batches[2:] == [[6, 7]]
    for gate in (line.gates[0], line.gates[2]):
        gate.set_result(None)
    assert await asyncio.gather(*answers) == [i * 10 for i in range(8)]


async def test_too_much_waiting_is_refused_at_once_and_taken_again_later() -> None:
    line = Line()
    shared = Coalescer(line, max_batch=2, max_calls=1, max_waiting=5)
    answers = [shared.submit(i) for i in range(5)]
    with pytest.raises(Overloaded) as refusal:
        shared.submit(5)
    assert refusal.value.retry_after_seconds
    await turns()
    with pytest.raises(Overloaded):  # under way counts as well
        shared.submit(5)
    assert shared.load == 5
    line.gates[0].set_result(None)
    await turns()
    answers.append(shared.submit(5))
    for i in (1, 2):
        line.gates[i].set_result(None)
        await turns()
    assert await asyncio.gather(*answers) == [0, 10, 20, 30, 40, 50]


async def test_a_failing_call_fails_each_of_its_members_and_no_other() -> None:
    async def call(items: list[int]) -> list[int]:
        if 1 in items:
            raise StoreUnavailable
        return items

    shared = Coalescer(call, max_batch=2, max_calls=1)
    answers = await asyncio.gather(*(shared.submit(i) for i in range(4)), return_exceptions=True)
    assert [type(a) for a in answers] == [StoreUnavailable, StoreUnavailable, int, int]
    assert shared.load == 0
    assert await shared.submit(7) == 7, "it works on after a failure"


async def test_one_refused_member_leaves_the_others_their_answers() -> None:
    line = Line()
    shared = Coalescer(line)
    answers = [shared.submit(i) for i in (1, -1, 2)]
    await turns()
    line.gates[0].set_result(None)
    got = await asyncio.gather(*answers, return_exceptions=True)
    assert got[0] == 10 and got[2] == 20
    assert isinstance(got[1], ValueError)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_call_that_answers_too_few_or_too_many_fails_all(count: int) -> None:
    async def call(items: list[int]) -> list[int]:
        return [0] * count

    shared = Coalescer(call)
    for answer in await asyncio.gather(*(shared.submit(i) for i in range(2)), return_exceptions=True):
        assert isinstance(answer, RuntimeError)


async def test_a_request_that_goes_away_disturbs_nobody() -> None:
    line = Line()
    shared = Coalescer(line, max_calls=1)
    answers = [shared.submit(i) for i in range(3)]
    waiting = asyncio.ensure_future(asyncio.wait_for(answers[1], 60))
    await turns()
    waiting.cancel()
    await turns()
    line.gates[0].set_result(None)
    assert await answers[0] == 0 and await answers[2] == 20
    assert answers[1].cancelled()
    await turns()
    assert shared.load == 0


async def test_who_has_waited_too_long_behind_a_hanging_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    shared = Coalescer(line, max_batch=1, max_calls=1, max_wait_s=5.0)
    first = shared.submit(1)
    await turns()
    late = [shared.submit(i) for i in (2, 3)]
    loop = asyncio.get_running_loop()
    later = loop.time() + 5.1
    monkeypatch.setattr(loop, "time", lambda: later)
    line.gates[0].set_result(None)
    await turns()
    assert await first == 10
    for answer in late:
        with pytest.raises(Overloaded):
            await answer
    assert line.batches == [[1]]
    assert shared.load == 0
    monkeypatch.undo()


@pytest.mark.parametrize("begun", [False, True])
async def test_ending_in_the_middle_of_a_call_keeps_nobody_hanging(begun: bool) -> None:
    line = Line()
    shared = Coalescer(line)
    before = asyncio.all_tasks()
    answer = shared.submit(1)
    await turns(2 if begun else 1)
    (task,) = asyncio.all_tasks() - before
    task.cancel()
    await turns()
    assert bool(line.batches) == begun
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert shared.load == 0


async def test_many_requests_each_get_their_own_answer() -> None:
    async def call(items: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return [item * 3 for item in items]

    shared = Coalescer(call, max_batch=64, max_waiting=20_000)

    async def request(i: int) -> int:
        for _ in range(i % 7):
            await asyncio.sleep(0)
        return await shared.submit(i)

    assert await asyncio.gather(*(request(i) for i in range(5000))) == [i * 3 for i in range(5000)]


async def test_the_first_of_a_batch_may_linger_for_company() -> None:
    line = Line()
    shared = Coalescer(line, linger_s=0.001)
    first = shared.submit(1)
    await turns()
    assert line.batches == []
    second = shared.submit(2)
    await line.called.wait()
    assert line.batches == [[1, 2]]
    line.gates[0].set_result(None)
    assert [await first, await second] == [10, 20]
