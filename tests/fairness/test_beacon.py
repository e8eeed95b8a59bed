"""The beacon: which round a draw is bound to, and whose signature is taken."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.beacon import Beacon, problems_of_beacon
from server.fairness.beacon import QUICKNET, NotOfTheBeacon, chain_named
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


# A network that is not public

# Of the key 12345678901234567890123456789, and what it signs of round 42: py_ecc 8.0.0 and py-arkworks-bls12381 0.5.0
# give the same.
KEY = (
    "98e70173af80481639c7c485da5a17d41afea6551f374d8f735512705ebdf4f5598c1605dff645cafea699dee3f1b37d"
    "11278ec94c2c774fd7b5bcb1fbeffd98802e4d59b3e766ba7c0a8b6b438fc271d4244545876aa42527aa920ef87f51f2"
)
SIGNED = "a8eb52efecd4349cfbbcee3db9af20db0909a506e968c27f29bfc4ccac82d31536669b5ecc085dd4262f6c9460d81eee"
NAME = f"drand:{'ab' * 32}:1600000000:30:{KEY}"


def test_a_networks_name_says_how_its_rounds_are_verified() -> None:
    chain = chain_named(NAME)
    assert chain is not None and chain.has_valid_key()
    assert chain.verify(42, SIGNED) == hashlib.sha256(bytes.fromhex(SIGNED)).digest()
    assert chain.due_ms(1) == 1_600_000_000_000 and chain.round_for(1_600_000_000_000) == 2
    for number, signature in ((43, SIGNED), (42, RECORDED[1].signature)):
        with pytest.raises(NotOfTheBeacon, match="a network that is not public, drand abababababab"):
            chain.verify(number, signature)
    with pytest.raises(NotOfTheBeacon):
        QUICKNET.verify(42, SIGNED)


@pytest.mark.parametrize("public_key", ["00" * 96, "ff" * 96, KEY[:-2] + "00"])
def test_a_public_key_that_is_none_is_said_to_be_none(public_key: str) -> None:
    chain = chain_named(NAME.replace(KEY, public_key))
    assert chain is not None and not chain.has_valid_key()
    with pytest.raises(NotOfTheBeacon, match="public key"):
        chain.verify(42, SIGNED)


@pytest.mark.parametrize(
    "name",
    ["", "Quicknet", NAME.upper(), NAME[:-1], NAME + "0", NAME + "\n", NAME.replace(":30:", ":0:"),
     NAME.replace(":30:", ":61:"), NAME.replace("1600000000", "-1"), NAME.replace("drand:", "")],
)  # fmt: skip
def test_a_name_that_is_none_names_no_chain(name: str) -> None:
    assert chain_named(name) is None
    assert [it.partition(":")[0] for it in problems_of_beacon(Beacon(["https://a.example"], chain=name))] == [
        "beacon.chain"
    ]


def test_a_round_far_from_what_it_follows_is_waited_for_by_nobody() -> None:
    assert QUICKNET.is_soon(1, GENESIS_MS - 66_000) and not QUICKNET.is_soon(1, GENESIS_MS - 66_001)
