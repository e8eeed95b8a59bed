"""The beacon: which round a draw is bound to, and whose signature is taken."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fairness.beacon import QUICKNET, NotOfTheBeacon
from tests.support.beacon import RECORDED, Recorded

GENESIS_MS = 1_692_803_367_000


@pytest.mark.parametrize("it", RECORDED, ids=lambda it: str(it.number))
def test_a_recorded_round_verifies_and_gives_the_randomness_that_was_recorded(it: Recorded) -> None:
    assert QUICKNET.verify(it.number, it.signature).hex() == it.randomness
    assert hashlib.sha256(bytes.fromhex(it.signature)).hexdigest() == it.randomness


@pytest.mark.parametrize("it", RECORDED, ids=lambda it: str(it.number))
def test_a_recorded_signature_is_no_other_rounds(it: Recorded) -> None:
    for number in (it.number - 1, it.number + 1, 1, 0, -1, 2**63, 2**64, 2**80):
        with pytest.raises(NotOfTheBeacon):
            QUICKNET.verify(number, it.signature)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00" * 48,
        "ff" * 48,
        RECORDED[0].signature[:-1],
        RECORDED[0].signature[:-2],
        RECORDED[0].signature + "\n",
        RECORDED[0].signature + "00",
        RECORDED[0].signature.upper(),
        "0x" + RECORDED[0].signature[2:],
        "é" * 96,
        "٠" * 96,  # a digit, and no hexadecimal one
        "g" * 96,
        RECORDED[1].signature,
        RECORDED[0].signature[:-2] + "98",
    ],
)
def test_what_is_not_the_rounds_signature_is_refused_in_words(text: str) -> None:
    with pytest.raises(NotOfTheBeacon, match="signature: "):
        QUICKNET.verify(RECORDED[0].number, text)


def due_ms(number: int) -> int:
    return GENESIS_MS + 3000 * (number - 1)


@given(st.integers(GENESIS_MS, GENESIS_MS + 10**12))
def test_a_draw_is_bound_to_the_first_round_that_is_due_three_seconds_after_its_end_or_later(ends_ms: int) -> None:
    number = QUICKNET.round_for(ends_ms)
    assert due_ms(number) >= ends_ms + 3000
    assert due_ms(number - 1) < ends_ms + 3000
    assert QUICKNET.due_ms(number) == due_ms(number)


def test_a_draw_that_ended_before_the_beacon_began_is_bound_to_its_first_round() -> None:
    assert [QUICKNET.round_for(ends_ms) for ends_ms in (0, GENESIS_MS - 3000, GENESIS_MS - 2999)] == [1, 1, 2]
