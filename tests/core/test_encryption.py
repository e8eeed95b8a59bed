"""Names and phones at rest: only the right secret opens them, for the right person, and nothing of them is told."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from server.core.encryption import Cipher, Contact, Unreadable

OLD, NEW = b"o" * 32, b"n" * 32
ZHANG, LI = b"z" * 16, b"l" * 16
CONTACT = Contact("张三", "13800138000")


def key_id(secret: bytes) -> int:
    return hashlib.sha256(b"jiaohao key id" + secret).digest()[0]


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64),
    phone=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True).filter(str.isascii),
    resident=st.binary(min_size=16, max_size=16),
)
def test_what_is_closed_is_opened(name: str, phone: str, resident: bytes) -> None:
    sealed = Cipher([NEW]).encrypt(resident, Contact(name, phone))
    assert Cipher([NEW]).decrypt(resident, sealed) == Contact(name, phone)
    assert Cipher([OLD, NEW]).decrypt(resident, sealed) == Contact(name, phone)


def test_the_form_is_the_documented_one() -> None:
    sealed = Cipher([NEW, OLD]).encrypt(ZHANG, CONTACT)
    assert sealed[0] == key_id(NEW)
    assert len(sealed) == 1 + 12 + len("13800138000张三".encode()) + 16
    aes = AESGCM(hmac.digest(NEW, b"jiaohao contact", "sha256"))
    assert aes.decrypt(sealed[1:13], sealed[13:], ZHANG) == "13800138000张三".encode()


def test_the_same_contact_is_never_sealed_alike() -> None:
    cipher = Cipher([NEW])
    assert len({cipher.encrypt(ZHANG, CONTACT) for _ in range(1000)}) == 1000


def test_nothing_can_be_read_in_what_is_sealed() -> None:
    sealed = Cipher([NEW]).encrypt(ZHANG, CONTACT)
    for part in ("张", "三", "13800", "8000"):
        assert part.encode() not in sealed


def test_it_opens_for_its_person_only() -> None:
    cipher = Cipher([NEW])
    with pytest.raises(Unreadable):
        cipher.decrypt(LI, cipher.encrypt(ZHANG, CONTACT))


def test_a_secret_that_is_gone_opens_nothing() -> None:
    with pytest.raises(Unreadable, match=rf"^key id {key_id(OLD)} is none of "):
        Cipher([NEW]).decrypt(ZHANG, Cipher([OLD]).encrypt(ZHANG, CONTACT))


def test_every_changed_byte_is_noticed() -> None:
    cipher = Cipher([NEW, OLD])
    sealed = cipher.encrypt(ZHANG, CONTACT)
    for i in range(len(sealed)):
        with pytest.raises(Unreadable):
            cipher.decrypt(ZHANG, sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :])
        with pytest.raises(Unreadable):
            cipher.decrypt(ZHANG, sealed[:i])


@given(st.binary(max_size=80))
def test_rubbish_is_unreadable_and_no_other_error(rubbish: bytes) -> None:
    cipher = Cipher([NEW, OLD])
    for open_it in (cipher.decrypt, cipher.decrypt_text):
        with pytest.raises(Unreadable):
            open_it(ZHANG, rubbish)
        with pytest.raises(Unreadable):
            open_it(ZHANG, bytes([key_id(NEW)]) + rubbish)


def test_the_error_tells_the_key_id_and_nothing_else() -> None:
    sealed = Cipher([OLD]).encrypt(ZHANG, CONTACT)
    for cipher, resident in ((Cipher([NEW]), ZHANG), (Cipher([OLD]), LI)):
        with pytest.raises(Unreadable) as refused:
            cipher.decrypt(resident, sealed)
        told = str(refused.value)
        assert str(key_id(OLD)) in told
        assert not any(part in told for part in ("张", "138", sealed.hex(), ZHANG.hex(), OLD.hex(), "ooo"))


def test_a_text_comes_back_and_is_no_contact() -> None:
    cipher = Cipher([NEW])
    text = cipher.encrypt_text(ZHANG, "验证码012345")
    assert cipher.decrypt_text(ZHANG, text) == "验证码012345"
    with pytest.raises(Unreadable):
        cipher.decrypt(ZHANG, text)
    with pytest.raises(Unreadable):
        cipher.decrypt_text(ZHANG, cipher.encrypt(ZHANG, CONTACT))
    with pytest.raises(Unreadable):
        cipher.decrypt_text(LI, text)


def test_stale_is_what_another_secret_than_the_current_one_has_sealed() -> None:
    assert Cipher([NEW, OLD]).is_stale(Cipher([OLD]).encrypt(ZHANG, CONTACT))
    assert not Cipher([NEW, OLD]).is_stale(Cipher([NEW]).encrypt(ZHANG, CONTACT))
    assert not Cipher([NEW, OLD]).is_stale(b"")
