"""Tickets, passes and receipts: ours and unchanged, or refused."""

import base64
import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.keys import fingerprint
from server.core.tokens import Forged, Signer, Token, TokenKind

_SECRET = bytes(range(32))
_OTHER = bytes(range(1, 33))
_SIGNER = Signer([_SECRET])
_TICKET = Token("440106", date(2021, 6, 19), 1_549_999, bytes(range(16)), 1_624_118_400)
_ALPHABET = string.ascii_letters + string.digits + "-_"
_DAYS = st.dates(date(2020, 1, 1), date(2199, 6, 6))  # as many as two octets count
_TOKENS = st.builds(
    Token,
    st.text(_ALPHABET, min_size=1, max_size=12),
    _DAYS,
    st.integers(0, 2**24 - 1),  # an opening gives 10^7 places at most; the octet before them counts the day's windows
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**32 - 1),
    window=st.integers(1, 5),
)


@given(_TOKENS, st.sampled_from(TokenKind))
def test_what_was_signed_is_what_is_read(token: Token, kind: TokenKind) -> None:
    text = _SIGNER.sign(kind, token)
    assert _SIGNER.read(kind, text) == _SIGNER.read(kind, text.encode()) == token
    assert set(text) <= set(_ALPHABET), "it goes into a header and a URL as it is"
    assert len(text) <= 96


def test_every_changed_character_is_refused() -> None:
    text = _SIGNER.sign(TokenKind.TICKET, _TICKET)
    for i, right in enumerate(text):
        for wrong in _ALPHABET + "+/= .~":
            if wrong != right:
                with pytest.raises(Forged):
                    _SIGNER.read(TokenKind.TICKET, text[:i] + wrong + text[i + 1 :])


def test_every_missing_doubled_or_added_character_is_refused() -> None:
    text = _SIGNER.sign(TokenKind.TICKET, _TICKET)
    changed = [text[:i] + text[i + 1 :] for i in range(len(text))]
    changed += [text[:i] + c + text[i:] for i in range(len(text) + 1) for c in "A=\n -"]
    changed += [text[:i] for i in range(len(text))] + [text[i:] for i in range(1, len(text))] + [text + text]
    for other in changed:
        with pytest.raises(Forged):
            _SIGNER.read(TokenKind.TICKET, other)


def test_every_flipped_bit_is_refused() -> None:
    raw = base64.urlsafe_b64decode(_SIGNER.sign(TokenKind.TICKET, _TICKET) + "===")
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Forged):
            _SIGNER.read(TokenKind.TICKET, base64.urlsafe_b64encode(changed).rstrip(b"="))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200), st.text(_ALPHABET, max_size=100)))
def test_anything_else_is_refused(text: str | bytes) -> None:
    for kind in TokenKind:
        with pytest.raises(Forged):
            _SIGNER.read(kind, text)


def test_a_very_long_string_is_refused() -> None:
    with pytest.raises(Forged):
        _SIGNER.read(TokenKind.TICKET, "A" * 10_000_000)


@pytest.mark.parametrize("made", TokenKind)
@pytest.mark.parametrize("wanted", TokenKind)
def test_a_token_of_another_kind_is_refused(made: TokenKind, wanted: TokenKind) -> None:
    text = _SIGNER.sign(made, _TICKET)
    if made == wanted:
        assert _SIGNER.read(wanted, text) == _TICKET
    else:
        with pytest.raises(Forged):
            _SIGNER.read(wanted, text)


def test_a_foreign_token_is_refused_even_under_our_key_id() -> None:
    foreign = next(
        secret for secret in (i.to_bytes(32) for i in range(1, 5000)) if fingerprint(secret) == fingerprint(_SECRET)
    )
    for secret in (_OTHER, foreign):
        with pytest.raises(Forged):
            _SIGNER.read(TokenKind.TICKET, Signer([secret]).sign(TokenKind.TICKET, _TICKET))


def test_an_expired_token_still_says_what_it_is() -> None:
    """The expiry is signed and read back; judging it is the caller's part, with the store's clock."""
    expired = Token("440106", date(2021, 6, 19), 0, bytes(16), 1)
    assert _SIGNER.read(TokenKind.PASS, _SIGNER.sign(TokenKind.PASS, expired)).expires_s == 1


def test_the_same_pass_is_the_same_string() -> None:
    assert _SIGNER.sign(TokenKind.PASS, _TICKET) == Signer([_SECRET]).sign(TokenKind.PASS, _TICKET)


def test_a_rotated_key_keeps_old_tickets_good_and_says_so() -> None:
    old = Signer([_SECRET]).sign(TokenKind.TICKET, _TICKET)
    rotated = Signer([_OTHER, _SECRET])
    read = rotated.read(TokenKind.TICKET, old)
    assert read.stale_key
    renewed = rotated.sign(TokenKind.TICKET, read)
    assert renewed != old
    assert rotated.read(TokenKind.TICKET, renewed) == _TICKET
    with pytest.raises(Forged):
        Signer([_OTHER]).read(TokenKind.TICKET, old)
    with pytest.raises(Forged):
        Signer([_SECRET]).read(TokenKind.TICKET, renewed)
