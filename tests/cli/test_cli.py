"""The command line: a failure is one clear line and a non-zero exit."""

import json
import socket
import stat
import time
import tomllib
from pathlib import Path

import pytest
from redis import Redis

from server.core.city import SHIPPED_CITY
from server.core.tokens import Signer, TokenKind
from tests.support.serving import Jiaohao, operator_token, quick_city, run_cli, up

SECRETS = {"JIAOHAO_SECRET": "ab" * 32, "JIAOHAO_OPERATOR_TOKEN": "sixteen-or-more-characters"}


def one_line(error: str) -> str:
    (line,) = error.splitlines()
    assert line.startswith("jiaohao: ")
    return line


def test_help_names_every_command(jiaohao: Jiaohao) -> None:
    code, out, _ = jiaohao("--help")
    assert code == 0
    for name in ("up", "serve", "import", "city", "plan", "rehearse"):
        assert f"\n  {name} " in out
    assert jiaohao("--version")[1].startswith("jiaohao, version ")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("up", "--nonsense"), ("import", "tea", "x"), ("serve", "--port", "x")]
)
def test_what_it_does_not_know_is_a_usage_error(jiaohao: Jiaohao, arguments: tuple[str, ...]) -> None:
    code, out, err = jiaohao(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err


def test_the_city_file_is_printed_to_copy_and_change(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, out, _ = jiaohao("city")
    assert (code, out) == (0, SHIPPED_CITY.read_text(encoding="utf-8"))
    copy = tmp_path / "city.toml"
    copy.write_text(out, encoding="utf-8")
    assert jiaohao("city", "--city", str(copy))[:2] == (0, out)


def test_the_city_file_is_printed_as_json_with_every_default_filled_in(jiaohao: Jiaohao, tmp_path: Path) -> None:
    file = quick_city(tmp_path)
    said = "quiet_hours = { begins = 21:00:00, ends = 08:00:00 }\n"  # which is the default too
    text = file.read_text(encoding="utf-8")
    assert said in text
    file.write_text(text.replace(said, ""), encoding="utf-8")
    code, out, _ = jiaohao("city", "--json", "--city", str(file))
    city = json.loads(out)
    assert code == 0
    assert city["sms"]["quiet_hours"] == {"begins": "21:00:00", "ends": "08:00:00"}
    assert [district["code"] for district in city["districts"]] == [
        district["code"] for district in tomllib.loads(text)["districts"]
    ]


def test_a_wrong_city_file_is_one_line(jiaohao: Jiaohao, tmp_path: Path) -> None:
    file = quick_city(tmp_path, draw_seconds='"two minutes"')
    for command in (("city",), ("up", "--data-dir", str(tmp_path / "d")), ("serve", "--redis-url", "unix:///none")):
        code, out, err = jiaohao(*command, "--city", str(file), **SECRETS)
        assert (code, out) == (1, "")
        assert one_line(err) == "jiaohao: quick.toml: policy.draw_seconds: expected `int`, got `str`"


@pytest.mark.parametrize("missing", SECRETS)
def test_serve_without_its_secrets_does_not_start(jiaohao: Jiaohao, missing: str) -> None:
    env = {k: v for k, v in SECRETS.items() if k != missing}
    code, out, err = jiaohao("serve", "--redis-url", "redis://127.0.0.1:1", **env)
    assert (code, out) == (1, "")
    assert missing in one_line(err)


def test_serve_without_a_store_says_which_option_is_missing(jiaohao: Jiaohao) -> None:
    code, _, err = jiaohao("serve", **SECRETS)
    assert code == 2
    assert "--redis-url" in err


def test_serve_with_a_malformed_secret_does_not_repeat_it(jiaohao: Jiaohao) -> None:
    code, _, err = jiaohao("serve", "--redis-url", "redis://127.0.0.1:1", **(SECRETS | {"JIAOHAO_SECRET": "hunter2"}))
    assert code == 1
    assert "JIAOHAO_SECRET" in one_line(err)
    assert "hunter2" not in err


def test_serve_where_no_store_answers_says_so_and_leaves(tmp_path: Path) -> None:
    done = run_cli("serve", "--port", "0", "--redis-url", f"unix://{tmp_path}/nobody", **SECRETS)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no store answers" in one_line(done.stderr)


def test_a_password_in_the_stores_address_is_never_shown(tmp_path: Path) -> None:
    done = run_cli("serve", "--port", "0", "--redis-url", "redis://user:hunter2@127.0.0.1:1/0", **SECRETS)
    assert done.returncode == 1
    assert "hunter2" not in done.stderr + done.stdout


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, jiaohao: Jiaohao) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = jiaohao("up", "--port", port, "--data-dir", str(tmp_path / "data"), "--no-demo")
        assert code == 1
        line = one_line(err)
        assert f"127.0.0.1:{port}" in line
        assert "--port" in line


def test_a_clock_without_its_offset_would_be_a_guess(jiaohao: Jiaohao, tmp_path: Path) -> None:
    for clock in ("2021-06-19T08:00:00", "8 o'clock", ""):
        code, out, err = jiaohao("up", "--data-dir", str(tmp_path / "d"), "--clock", clock)
        assert (code, out) == (2, "")
        assert "2021-06-19T08:00:00+08:00" in err
    assert not (tmp_path / "d").exists()


def test_a_second_up_on_the_same_data_is_one_line_and_harms_nobody(tmp_path: Path, jiaohao: Jiaohao) -> None:
    folder = tmp_path / "data"
    with up(folder, "--workers", "1", "--no-demo") as first:
        code, out, err = jiaohao("up", "--port", "0", "--data-dir", str(folder), "--no-demo")
        assert (code, out) == (1, "")
        assert "in use by another jiaohao" in one_line(err)
        assert first.call("GET", "/readyz").status_code == 200
        assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
        assert len(operator_token(folder)) >= 16
        assert operator_token(folder) not in first.said() + first.logged()


# Staff tokens and the outbox


@pytest.fixture
def secrets(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a machine that serves; after `jiaohao`, which clears it."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())


def sites_file(folder: Path) -> str:
    file = folder / "sites.csv"
    header = "site,name_zh,name_en,district,address"
    file.write_text(f"{header}\nT1,体育中心,Sports Centre,440106,路1号\n", encoding="utf-8")
    return str(file)


@pytest.mark.usefixtures("secrets")
def test_a_staff_token_is_for_a_site_that_is_there(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, out, err = jiaohao("token", "staff", "T1")
    assert (code, out) == (1, "")
    assert "there is no site T1" in one_line(err)
    assert jiaohao("import", "sites", sites_file(tmp_path))[0] == 0
    code, out, err = jiaohao("token", "staff", "T1", "--role", "desk", "--days", "2")
    assert code == 0
    assert len(out.split()) == 1, "the token alone, so that a script can take it"
    assert err.startswith("audit name: T1/")
    token = Signer([b"s" * 32]).read(TokenKind.STAFF, out.strip())
    assert (token.district, token.entry) == ("T1", 1)
    assert abs(token.expires_s - time.time() - 2 * 86_400) < 300


@pytest.mark.usefixtures("secrets")
def test_a_staff_tokens_days_are_the_citys(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    """The service runs at another time (`up --clock`)."""
    with Redis.from_url(store_url) as client:
        client.set("clock:{clock}", -86_400_000 * 1000)
    jiaohao("import", "sites", sites_file(tmp_path))
    _, out, _ = jiaohao("token", "staff", "T1", "--days", "2")
    token = Signer([b"s" * 32]).read(TokenKind.STAFF, out.strip())
    assert abs(token.expires_s - time.time() + 998 * 86_400) < 300


@pytest.mark.usefixtures("secrets")
def test_notify_sends_what_is_owed_and_only_once(jiaohao: Jiaohao, tmp_path: Path) -> None:
    file = tmp_path / "sms.jsonl"
    assert jiaohao("notify", "--file", str(file), "--once") == (0, "0 messages sent\n", "")
    assert not file.exists()


@pytest.mark.usefixtures("secrets")
def test_a_store_keeps_to_its_secret(jiaohao: Jiaohao, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Under another one nobody in it could be found, and what was imported would be lost in it."""
    assert jiaohao("import", "sites", sites_file(tmp_path))[0] == 0
    monkeypatch.setenv("JIAOHAO_SECRET", (b"x" * 32).hex())
    for command in (("import", "sites", sites_file(tmp_path)), ("token", "staff", "T1"), ("reseal",), ("doctor",)):
        code, _, err = jiaohao(*command)
        assert code == 1
        assert "under another JIAOHAO_SECRET" in one_line(err)
    monkeypatch.setenv("JIAOHAO_PEPPER", (b"s" * 32).hex())  # as after a rotation
    assert jiaohao("token", "staff", "T1")[0] == 0


@pytest.mark.parametrize("command", [("notify", "--file", "sms", "--once"), ("purge",), ("reseal",), ("doctor",)])
def test_a_cron_job_without_its_environment_says_so(
    jiaohao: Jiaohao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = jiaohao(*command)
    assert code == 1
    assert "no data in" in err and "JIAOHAO_REDIS_URL" in err
    assert list(tmp_path.iterdir()) == [], "and nothing is begun"


@pytest.mark.usefixtures("secrets")
def test_notify_says_what_is_still_owed(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    with Redis.from_url(store_url) as client:
        client.xadd("codes:{440106}", {"kind": "what is this"})
    code, _, err = jiaohao("notify", "--file", str(tmp_path / "sms"), "--once")
    assert code == 1
    assert "1 still owed" in err
    code, _, err = jiaohao("notify", "--file", str(tmp_path / "no" / "sms"), "--once")
    assert code == 1
    assert "cannot be written" in one_line(err)


@pytest.mark.usefixtures("secrets")
def test_an_address_of_no_store_is_one_line(jiaohao: Jiaohao) -> None:
    code, _, err = jiaohao("token", "staff", "T1", "--redis-url", "foo://x")
    assert code == 1
    assert "no address of a store" in one_line(err)


def test_up_puts_no_made_up_people_among_real_ones(store_url: str, tmp_path: Path) -> None:
    with Redis.from_url(store_url) as client:
        client.set("registry:{somebody}", b"x")
        with up(tmp_path / "data", "--redis-url", store_url, "--workers", "1") as server:
            assert "this store holds others" in server.logged()
        assert [name for name in client.scan_iter("registry:*")] == [b"registry:{somebody}"]
