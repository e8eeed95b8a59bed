"""Nobody's papers are left anywhere: after a whole run every log, key, value, file, metric and address is searched."""

import base64
import json
from pathlib import Path
from typing import Any

import psutil

from tests.support.serving import (
    API,
    TIANHE,
    Person,
    person,
    quick_city,
    refused,
    registry_csv,
    run_cli,
    store_client,
    until,
    up,
)

PATH = f"{API}/openings/{TIANHE}/tickets"


def traces(people: list[Person]) -> list[bytes]:
    """What would give somebody away, in the spellings in which it could be written."""
    found = []
    for who in people:
        for secret in (who.id_number, who.phone, who.name):
            found += [
                secret.encode(),
                json.dumps(secret)[1:-1].encode(),
                base64.b64encode(secret.encode()).rstrip(b"="),
            ]
            found.append(secret.encode("utf-16-be"))
    return found


def search(what: str, content: bytes | str, secrets: list[bytes]) -> None:
    text = content.encode() if isinstance(content, str) else content
    assert [s for s in secrets if s in text] == [], what


def all_of_the_store(data_dir: Path) -> bytes:
    """Every key, field, member and value."""
    everything: list[Any] = []
    with store_client(data_dir) as client:
        for key in client.scan_iter(count=1000):
            kind = client.type(key).decode()
            value: Any = {
                "string": lambda k: client.get(k),
                "hash": lambda k: client.hgetall(k),
                "zset": lambda k: client.zrange(k, 0, -1),
                "list": lambda k: client.lrange(k, 0, -1),
                "set": lambda k: client.smembers(k),
                "stream": lambda k: client.xrange(k),
            }[kind](key)
            everything.append((key, value))
    assert everything
    return b"\n".join(_flat(everything))


def _flat(value: Any) -> list[bytes]:
    if isinstance(value, dict):
        return [x for pair in value.items() for x in _flat(pair)]
    if isinstance(value, list | tuple | set):
        return [x for each in value for x in _flat(each)]
    return [value if isinstance(value, bytes) else str(value).encode()]


def test_nobodys_papers_are_left_anywhere(tmp_path: Path) -> None:
    people = [Person(person(i).id_number, f"欧阳秘密{chr(0x4E10 + i)}", f"1591234{i:04d}") for i in range(6)]
    stranger = Person("E7654321X", "SECRET STRANGER", "15987654321", "passport")
    secrets = traces([*people, stranger])
    registry = registry_csv(tmp_path / "registry.csv", people)
    clock = ("--clock", "2021-06-19T08:00:00+08:00")
    addresses: list[str] = []
    answers: list[str] = []
    with up(tmp_path / "data", "--workers", "2", "--no-demo", "--city", str(quick_city(tmp_path)), *clock) as server:
        imported = run_cli("import", "registry", str(registry), "--data-dir", str(server.data_dir))
        assert imported.returncode == 0
        bad = registry_csv(tmp_path / "bad.csv", [Person(who.id_number + "9", who.name, who.phone) for who in people])
        refused_rows = run_cli("import", "registry", str(bad), "--data-dir", str(server.data_dir))
        assert refused_rows.returncode == 1

        def call(method: str, path: str, **how: Any) -> Any:
            answer = server.call(method, path, **how)
            addresses.append(str(answer.request.url))
            answers.append(answer.text)
            return answer

        tickets = [server.join(who)["ticket"] for who in people[:5]]
        # Everything that may be refused about papers.
        refused(call("POST", PATH, json=stranger.papers()), "not-eligible", 403)
        refused(call("POST", PATH, json=people[0].papers(name=people[1].name)), "identity-mismatch", 403)
        refused(call("POST", PATH, json=people[0].papers(phone=people[1].phone)), "identity-mismatch", 403)
        refused(call("POST", PATH, json=people[0].papers(id_number=people[0].id_number + "1")), "invalid", 422)
        refused(call("POST", PATH, json=people[0].papers(id_type=people[0].name)), "invalid", 422)
        refused(call("POST", PATH, content=json.dumps(people[0].papers())[:-1].encode()), "malformed", 400)
        refused(call("POST", PATH + "/", json=people[0].papers()), "not-found", 404)
        refused(call("POST", f"{API}/openings/440112/tickets", json=people[0].papers()), "not-open", 425)
        done = [server.register(server.claim(ticket)) for ticket in tickets[:3]]
        refused(call("POST", PATH, json=people[0].papers()), "already-registered", 409)
        for each in done:
            path = f"{API}/registrations/{each['registration_no']}"
            call("GET", path, bearer=each["receipt"])
            addresses.append(each["receipt_qr_svg_url"])
        assert call("DELETE", f"{API}/ticket", bearer=tickets[4]).status_code == 204
        # Found again by SMS, changed and cancelled; and the desk's side of it.
        refused(call("POST", f"{API}/openings/{TIANHE}/eligibility", json=stranger.papers()), "not-eligible", 403)
        asked = {k: v for k, v in people[0].papers().items() if k != "name"}
        assert call("POST", f"{API}/access-codes", json=asked).status_code == 202
        refused(call("POST", f"{API}/access-codes", json=asked), "too-many-requests", 429)
        refused(call("POST", f"{API}/access-tokens", json=asked | {"code": "x"}), "invalid", 422)
        sms = server.data_dir / "sms.jsonl"
        until(lambda: sms.exists() and "验证码" in sms.read_text(encoding="utf-8"), "the SMS is written")
        told = [json.loads(line) for line in sms.read_text(encoding="utf-8").splitlines()]
        (message,) = (each for each in told if "验证码" in each["text"])
        assert message["phone"] == people[0].phone
        assert not any(who.name in each["text"] for who in people for each in told), "names are masked"
        assert sms.stat().st_mode & 0o777 == 0o600
        code = "".join(c for c in message["text"] if c.isdigit())[:6]
        found = call("POST", f"{API}/access-tokens", json=asked | {"code": code}).json()
        path = f"{API}/registrations/{found['registration_no']}"
        wishes = {"preferences": [], "accept_any_site": True, "not_before": "2021-07-01"}
        assert call("PATCH", path, bearer=found["receipt"], json=wishes).status_code == 200
        assert call("POST", f"{path}/cancellation", bearer=found["receipt"]).status_code == 200
        rows = [f"{TIANHE}-9,秘密接种点,Site,{TIANHE},路1号"]
        sites = tmp_path / "sites.csv"
        sites.write_text("\n".join(["site,name_zh,name_en,district,address", *rows]), encoding="utf-8")
        assert run_cli("import", "sites", str(sites), "--data-dir", str(server.data_dir)).returncode == 0
        token = run_cli("token", "staff", f"{TIANHE}-9", "--data-dir", str(server.data_dir)).stdout.strip()
        seen = {"registration_no": done[1]["registration_no"], "date": "2021-06-19"}
        assert call("GET", f"{API}/staff", bearer=token).status_code == 200
        assert call("POST", f"{API}/attendances", bearer=token, json=seen).status_code == 202  # no appointment there
        assert call("GET", f"{API}/sites/{TIANHE}-9/roster", bearer=token).status_code == 200
        for command in (("reseal",), ("purge", "--dry-run")):
            walked = run_cli(*command, "--data-dir", str(server.data_dir))
            assert walked.returncode == 0
            search(command[0], walked.stdout + walked.stderr, secrets)
        # And with the store dying under it, which is when things are logged.
        psutil.Process(server.store_pid()).kill()
        for who in people:
            call("POST", PATH, json=who.papers())
        server.join(people[5])

        for token in (*tickets, *(each["receipt"] for each in done)):
            search("a token", base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), secrets)
        search("what the store holds", all_of_the_store(server.data_dir), secrets)
        search("metrics", call("GET", "/metrics").text, secrets)
        search("answers", "\n".join(answers), secrets)
        search("addresses", "\n".join(addresses), secrets)
        search("the import's output", imported.stdout + imported.stderr, secrets)
        search("the import's complaints", refused_rows.stdout + refused_rows.stderr, secrets)
        assert server.stop() == 0
        assert "store unavailable" in server.logged()
        search("logs", server.said() + server.logged(), secrets)
        files = [file for file in server.data_dir.rglob("*") if file.is_file() and file != sms]
        assert any(file.suffix == ".aof" and file.stat().st_size > 1000 for file in files)
        for file in files:
            search(file.name, file.read_bytes(), secrets)
