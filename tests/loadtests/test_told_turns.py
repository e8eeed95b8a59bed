"""What residents were told of their turn, and when it came: kept in one process, and gathered from several."""

from loadtests.resident.facts import NEVER
from loadtests.resident.observations import Observations


def test_a_number_was_called_when_any_answer_first_told_so() -> None:
    one, other = Observations(4), Observations(4)
    for seen, times in ((one, ((1000, 10), (3000, 30))), (other, ((2000, 20), (2500, 15), (4000, 30)))):
        for ms, serving in times:
            seen.turns_seen.saw(0, serving, ms)
    one.take_in(other.encoded(1, 2))
    assert [one.turns_seen.called_ms(0, number) for number in (1, 10, 11, 20, 21, 30)] == [
        1000, 1000, 2000, 2000, 3000, 3000,
    ]  # fmt: skip
    assert one.turns_seen.called_ms(0, 31) == one.turns_seen.called_ms(1, 1) == NEVER


def test_the_promise_that_counts_is_the_first_after_the_rate_has_changed() -> None:
    told = Observations(2)
    rates = (("08:00:01", 60.0), ("08:00:02", 90.0), ("08:00:01", 60.0), ("08:00:03", 90.0))
    for second, (at, rate) in enumerate(rates):  # the third is out of a cache
        told.turns_seen.saw_rate(0, at, rate, second * 1000)
        told.told_turn(0, 0, 5000 + second, 6000 + second, second * 1000)
    it = told.told_turns
    assert (it.first_told_ms[0], it.first_from_ms[0]) == (0, 5000)
    assert (it.turn_told_ms[0], it.turn_from_ms[0], it.turn_to_ms[0]) == (1000, 5001, 6001)
    assert told.turns_seen.is_overtaken(0, 500, 2000)
    assert not told.turns_seen.is_overtaken(0, 1500, 9000)
    assert not told.turns_seen.is_overtaken(1, 500, 2000)
    told.place(0, 7, 3000)
    told.place(0, 9, 4000)
    assert it.first_told_ms[0] == it.turn_told_ms[0] == NEVER
