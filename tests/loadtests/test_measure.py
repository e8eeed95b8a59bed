"""Latencies are kept apart by call and second, and a percentile never flatters; the draw is the contract's."""

import json

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadtests.client.answers import Call
from loadtests.client.draw import Numbers, commitment
from loadtests.client.measure import LONGEST_US, Histogram, Meters
from tests.support import SUPPORT


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=200), st.sampled_from([50.0, 95.0, 99.0, 100.0]))
def test_percentiles_err_on_the_slow_side_only(durations: list[int], percent: float) -> None:
    histogram = Histogram()
    for us in durations:
        histogram.add(us)
    exact = sorted(durations)[-(-len(durations) * int(percent) // 100) - 1]
    found = histogram.percentile_us(percent)
    assert found is not None
    assert exact <= found <= exact * 1.01 + 1


@given(st.lists(st.integers(0, LONGEST_US), min_size=1, max_size=200))
def test_a_duration_is_recorded_as_the_package_records_it(durations: list[int]) -> None:
    ours, theirs = Histogram(), HdrHistogram(1, LONGEST_US, 2, word_size=4)
    for us in durations:
        ours.add(us)
        assert theirs.record_value(us)
    assert ours.encoded() == theirs.encode().decode()
    assert (ours.total, ours.hdr.min_value, ours.hdr.max_value) == (len(durations), min(durations), max(durations))


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile_us(99) is None


def test_longest_durations_are_kept() -> None:
    histogram = Histogram()
    for us in (-5, 10**12):
        histogram.add(us)
    assert histogram.percentile_us(50) == 0
    assert LONGEST_US <= (histogram.percentile_us(100) or 0) <= LONGEST_US * 1.01


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=50), st.lists(st.integers(0, 10**8), max_size=50))
def test_histograms_merge_and_travel_without_loss(one: list[int], other: list[int]) -> None:
    parts = [Histogram(), Histogram()]
    for histogram, durations in zip(parts, (one, other), strict=True):
        for us in durations:
            histogram.add(us)
    travelled = [Histogram.decoded(part.encoded()) for part in parts]
    for whole in (Histogram.merged(parts), Histogram.merged(travelled), Histogram.merged([travelled[1], parts[0]])):
        assert whole.total == len(one) + len(other)
        assert whole.percentile_us(100) == max(filter(None, (part.percentile_us(100) for part in parts)), default=0)


def test_what_is_no_histogram_is_refused() -> None:
    for text in ("", "nonsense", "HISTFAAAA", Histogram().encoded()[:-6]):
        with pytest.raises(ValueError, match="no HDR histogram"):
            Histogram.decoded(text)


def test_latency_counts_from_due_and_from_sending_apart() -> None:
    meters = Meters()
    meters.answered(Call.JOIN, due_us=1_000_000, sent_us=1_900_000, now_us=2_000_000)
    due, wire = meters.from_due[Call.JOIN][1], meters.on_wire[Call.JOIN]
    assert (due.percentile_us(99) or 0) >= 1_000_000 > 101_000 >= (wire.percentile_us(99) or 0)
    assert meters.whole(Call.JOIN, lambda second: second != 1).total == 0
    assert meters.whole(Call.JOIN).total == 1


def test_new_connections_count_from_when_they_were_needed_and_several_generators_add_up() -> None:
    whole = Meters()
    for _ in range(2):
        meters = Meters()
        meters.connected("connect", needed_us=1_000_000, now_us=1_250_000)
        meters.connected("handshake", needed_us=1_000_000, now_us=1_500_000)
        meters.holds_open(7, 1_600_000)
        meters.holds_open(5, 3_700_000)
        whole.take_in(meters.encoded())
    assert [(how, by_second[1].total) for how, by_second in whole.set_up.items()] == [("connect", 2), ("handshake", 2)]
    assert 250_000 <= (whole.set_up["connect"][1].percentile_us(50) or 0) <= 252_500
    assert whole.counts["connections open"] == {1: 14, 2: 10, 3: 10}


def test_the_audits_draw_is_the_contracts() -> None:
    vectors = json.loads((SUPPORT / "draw_vectors.json").read_text())
    seed = bytes.fromhex(vectors["seed"])
    assert commitment(seed) == vectors["commitment"]
    for case in vectors["cases"]:
        numbers = Numbers(seed, case["entries"])
        if "number_of_entry" in case:
            assert [numbers.number(e) for e in range(case["entries"])] == case["number_of_entry"]
        for entry, number in case.get("some", {}).items():
            assert numbers.number(int(entry)) == number
        assert numbers.number(case["entries"]) == case["entries"] + 1
    assert Numbers(seed, 0).number(0) == 1
