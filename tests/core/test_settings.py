"""Settings and secrets: nothing has a default that could be guessed, and what `up` makes is kept and private."""

import stat
from pathlib import Path

import pytest

from server.core.errors import SetupError
from server.core.keys import fingerprint
from server.core.settings import Settings, from_environment, local_secrets

SECRET, EARLIER, PEPPER = "a1" * 32, "b2" * 32, "c3" * 32
FULL = {
    "JIAOHAO_REDIS_URL": "redis://store:6379",
    "JIAOHAO_SECRET": SECRET,
    "JIAOHAO_OPERATOR_TOKEN": "sixteen-or-more-characters",
}


def test_the_environment_makes_settings() -> None:
    settings = from_environment(FULL)
    assert settings.redis_url == "redis://store:6379"
    assert settings.secrets == (bytes.fromhex(SECRET),)
    assert settings.pepper == bytes.fromhex(SECRET)
    assert settings.operator_token == "sixteen-or-more-characters"
    assert (settings.city_file, settings.offset_ms) == (None, 0)


def test_a_worker_gets_the_very_same_settings() -> None:
    for settings in (
        from_environment(FULL),
        Settings(
            redis_url="unix:///s", secrets=(b"1" * 32, b"2" * 32), pepper=b"p" * 32, operator_token="t" * 16,
            city_file=Path("/tmp/city.toml"), offset_ms=-172_800_000,  # noqa: S108
        ),
    ):  # fmt: skip
        assert from_environment(settings.environment()) == settings


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    env = {k: v for k, v in FULL.items() if k != name} | ({} if value is None else {name: value})
    with pytest.raises(SetupError, match=name):
        from_environment(env)


@pytest.mark.parametrize("name", ["JIAOHAO_SECRET", "JIAOHAO_PREVIOUS_SECRETS", "JIAOHAO_PEPPER"])
@pytest.mark.parametrize("value", ["short", "z" * 64, "a" * 63, "a" * 65, "a" * 63 + "\n"])
def test_a_secret_is_32_bytes_hex_and_never_quoted(name: str, value: str) -> None:
    with pytest.raises(SetupError, match=f"{name}: expected 32 bytes") as caught:
        from_environment(FULL | {name: value})
    assert value.strip() not in str(caught.value)


def test_an_operator_token_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(SetupError, match="JIAOHAO_OPERATOR_TOKEN: expected at least 16"):
        from_environment(FULL | {"JIAOHAO_OPERATOR_TOKEN": "admin"})


def test_a_change_of_secrets_keeps_old_tickets_and_everybodys_key() -> None:
    settings = from_environment(FULL | {"JIAOHAO_PREVIOUS_SECRETS": f"{EARLIER}, {PEPPER},"})
    assert settings.secrets == tuple(map(bytes.fromhex, (SECRET, EARLIER, PEPPER)))
    # The oldest one made the resident keys when it was the only one.
    assert settings.pepper == from_environment(FULL | {"JIAOHAO_SECRET": PEPPER}).pepper
    assert from_environment(FULL | {"JIAOHAO_PEPPER": PEPPER}).pepper == bytes.fromhex(PEPPER)


def test_an_offset_that_is_no_number_is_a_clear_error() -> None:
    with pytest.raises(SetupError, match="JIAOHAO_OFFSET_MS"):
        from_environment(FULL | {"JIAOHAO_OFFSET_MS": "soon"})


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = local_secrets(folder, {})
    file = folder / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [f.name for f in folder.iterdir()] == ["secrets.json"]
    assert len(bytes.fromhex(first["JIAOHAO_SECRET"])) == 32
    assert len(first["JIAOHAO_OPERATOR_TOKEN"]) >= 32
    before = file.read_bytes()
    assert local_secrets(folder, {}) == first
    assert file.read_bytes() == before
    other = local_secrets(tmp_path / "other", {})
    assert other["JIAOHAO_SECRET"] != first["JIAOHAO_SECRET"]
    assert other["JIAOHAO_OPERATOR_TOKEN"] != first["JIAOHAO_OPERATOR_TOKEN"]


def test_the_environment_wins_and_is_not_written_down(tmp_path: Path) -> None:
    made = local_secrets(tmp_path, {})
    given = local_secrets(tmp_path, {"JIAOHAO_SECRET": SECRET, "JIAOHAO_PEPPER": PEPPER, "PATH": "/bin"})
    assert given == {**made, "JIAOHAO_SECRET": SECRET, "JIAOHAO_PEPPER": PEPPER}
    assert SECRET not in (tmp_path / "secrets.json").read_text()
    assert local_secrets(tmp_path, {}) == made


@pytest.mark.parametrize("text", ["", "{", "[]", '{"JIAOHAO_SECRET": 5}', "\x00"])
def test_damaged_secrets_are_not_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(text)
    with pytest.raises(SetupError, match="damaged"):
        local_secrets(tmp_path, {})
    assert file.read_text() == text


def test_two_secrets_that_tokens_could_not_tell_apart_are_refused() -> None:
    current = bytes(32)
    twin = next(s for i in range(1, 10_000) if fingerprint(s := i.to_bytes(32, "big")) == fingerprint(current))
    env = FULL | {"JIAOHAO_SECRET": current.hex(), "JIAOHAO_PREVIOUS_SECRETS": twin.hex()}
    with pytest.raises(SetupError, match="key id"):
        from_environment(env)
