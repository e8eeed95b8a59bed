"""Load (cases, L4-L6): a rehearsal that blames nobody for what it cannot know, and says at once what cannot be held."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gevent
import msgspec
import pytest
from gevent.server import StreamServer

from loadtests.audit.truth import connect
from loadtests.cli import rehearsal
from loadtests.cli.checks import problem_of
from loadtests.client import wire, wire_tls
from loadtests.client.answers import Call
from loadtests.client.wire import Address, Answer, Broken, Connection
from loadtests.client.wire_tls import connection_to
from loadtests.report.junit import junit
from loadtests.report.page import render
from loadtests.report.verdict import EXIT_CODES
from loadtests.resident.acts import Act
from loadtests.resident.facts import Fact, RequestContext
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.own_server import check_store
from loadtests.run.setting import address_of
from server.core.city import SHIPPED_CITY
from tests.support.honest_opening import END_S, World
from tests.support.judged_opening import concluded, slow, world_with_slo
from tests.support.scripted_server import NO, Desk, S, at, place, refusal
from tests.support.serving import REPO, environment


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _rejoined(desk: Desk, *, number: int | None = 829) -> tuple[int, RequestContext]:
    """Somebody who polled as number 829 of entry 7, and had left and joined again (entry 40) before the answer came.

    Returns the resident, and what the poll was about.
    """
    i = desk.someone()
    desk.gets_a_place(i, 7)
    if number is not None:
        desk.hears(i, Act.POLL, 200, place(7, "waiting", 30, number) | {"entry": None, "ticket": None})
    asked = desk.journey.asks(i, 10 * S)
    desk.sends(i, Act.LEAVE, 11 * S)
    desk.hears(i, Act.LEAVE, 204, {}, 11 * S)
    desk.sends(i, Act.JOIN, 12 * S)
    desk.hears(i, Act.JOIN, 201, place(40, "waiting", 30, 30), 12 * S)
    desk.agenda.clear()
    return i, asked


def _polled_late(desk: Desk, i: int, asked: RequestContext, body: dict[str, Any], status: int = 200) -> None:
    _answered_late(desk, i, Act.POLL, asked, body, status)


def _answered_late(
    desk: Desk,
    i: int,
    act: Act,
    asked: RequestContext,
    body: dict[str, Any],
    status: int = 200,
    retry_after: int | None = 5,
) -> None:
    head = b"http/1.1 200 ok\r\n" + (b"retry-after: %d\r\n" % retry_after if retry_after is not None else b"")
    desk.journey.answered(i, act, Answer(status, head, json.dumps(body).encode()), 13 * S, asked)


def test_a_late_answer_to_the_old_ticket_is_no_changed_number(desk: Desk) -> None:
    i, asked = _rejoined(desk)
    _polled_late(desk, i, asked, {"state": "waiting", "number": 829, "serving": 0, "poll_after_seconds": 5})
    assert not desk.observations.contradictions
    assert (desk.observations.number[i], desk.observations.entry[i]) == (30, 40)
    assert desk.upcoming() == []  # the new place has polls of its own


def test_a_late_answer_that_changes_the_old_number_is_told_of(desk: Desk) -> None:
    i, asked = _rejoined(desk)
    _polled_late(desk, i, asked, {"state": "waiting", "number": 828, "serving": 0, "poll_after_seconds": 5})
    assert desk.observations.contradictions == {"number changed": 1}
    assert "829, then 828" in desk.observations.examples["number changed"][0]


def test_a_late_answer_gives_the_old_place_the_number_that_was_not_known(desk: Desk) -> None:
    i, asked = _rejoined(desk, number=None)
    _polled_late(desk, i, asked, {"state": "waiting", "number": 829, "serving": 0, "poll_after_seconds": 5})
    assert [(spent.entry, spent.number) for spent in desk.observations.spent] == [(7, 829)]
    _polled_late(desk, i, asked, {"state": "waiting", "number": 12, "serving": 0, "poll_after_seconds": 5})
    assert desk.observations.contradictions == {"number changed": 1}


@pytest.mark.parametrize("state", ["missed", "left", "claimed", "ended", "ready"])
def test_a_late_answer_about_the_old_place_says_nothing_of_the_new_one(desk: Desk, state: str) -> None:
    i, asked = _rejoined(desk)
    body = {"state": state, "number": 829, "serving": 829, "poll_after_seconds": 5, "claim_before": at(300)}
    _polled_late(desk, i, asked, body)
    assert not desk.observations.contradictions
    assert not desk.observations.has(i, Fact.MISSED | Fact.ENDED | Fact.READY | Fact.LEFT)
    assert desk.upcoming() == []


def test_a_join_that_was_sent_before_leaving_and_is_answered_after_the_rejoin_is_no_step_to_the_front(
    desk: Desk,
) -> None:
    i = desk.someone()
    desk.gets_a_place(i, 7)
    desk.sends(i, Act.REFRESH, 10 * S)
    asked = desk.journey.asks(i, 10 * S)
    desk.sends(i, Act.LEAVE, 11 * S)
    desk.hears(i, Act.LEAVE, 204, {}, 11 * S)
    desk.sends(i, Act.JOIN, 12 * S)
    desk.hears(i, Act.JOIN, 201, place(40, "waiting", 30, 30), 12 * S)
    _answered_late(desk, i, Act.REFRESH, asked, place(7, "waiting", 30, 829))
    assert not desk.observations.contradictions
    assert (desk.observations.entry[i], desk.observations.ticket[i]) == (40, b"t40")


def test_a_join_sent_after_the_rejoin_that_gives_the_old_place_back_is_a_fault(desk: Desk) -> None:
    i, _ = _rejoined(desk)
    desk.sends(i, Act.REFRESH, 13 * S)
    _answered_late(desk, i, Act.REFRESH, desk.journey.asks(i, 13 * S), place(7, "waiting", 30, 829))
    assert desk.observations.contradictions["place not at the back"] == 1


@pytest.mark.parametrize("code", ["expired", "ended", "used", "not-your-turn"])
def test_a_late_refusal_of_the_old_claim_does_not_end_the_new_place(desk: Desk, code: str) -> None:
    i, asked = _rejoined(desk)
    status = 425 if code == "not-your-turn" else 410
    _answered_late(desk, i, Act.CLAIM, asked, refusal(code), status)
    assert not desk.observations.contradictions
    assert not desk.observations.has(i, Fact.MISSED)
    assert desk.upcoming() == []
    assert desk.errors() == 0


def test_a_late_fault_of_the_server_is_still_an_error(desk: Desk) -> None:
    i, asked = _rejoined(desk)
    _answered_late(desk, i, Act.POLL, asked, refusal("overloaded"), 503)
    assert desk.errors() == 1
    _answered_late(desk, i, Act.POLL, asked, refusal("overloaded"), 503, retry_after=None)
    assert desk.observations.contradictions == {"no Retry-After": 1}


def test_a_late_answer_about_a_cancelled_registration_is_not_booked_on_the_next_one(desk: Desk) -> None:
    i = desk.someone()
    view = desk.registers(i)
    asked = desk.journey.asks(i, 20 * S)
    desk.sends(i, Act.CANCEL, 21 * S)
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"}, 21 * S)
    desk.sends(i, Act.JOIN, 22 * S)
    desk.hears(i, Act.JOIN, 201, place(40, "waiting", 30, 30), 22 * S)
    desk.agenda.clear()
    for act in (Act.REGISTER_AGAIN, Act.OPEN_AGAIN, Act.CHANGE):
        _answered_late(desk, i, act, asked, view | {"receipt": "r7"})
    assert not desk.observations.contradictions
    assert desk.observations.registration_no[i] == 0
    assert desk.observations.closed[i].no == int(NO)


# L5: a machine that is too busy


def _busy_with_others(world: World, percent: float, seconds: range = range(END_S)) -> None:
    cpu = world.evidence.seen.cpu
    cpu["workers"] = dict.fromkeys(range(END_S), 40.0)
    cpu["others"] = {second: percent if second in seconds else 0.0 for second in range(END_S)}
    world.evidence.cores = 2


def test_a_machine_that_others_use_makes_a_slow_run_inconclusive() -> None:
    world = world_with_slo()
    _busy_with_others(world, 120)
    slow(world, Call.JOIN, 7)
    world.evidence.meters.pushed_back("JOIN: no answer: timeout", 7_000_000)
    summary = concluded(world)
    assert summary.verdict == "inconclusive"
    assert {line.name for line in summary.objectives if line.state == "inconclusive"} >= {"p99 join"}
    assert any("others took the CPU" in why and "60 % of the machine" in why for why in summary.inconclusive)
    assert EXIT_CODES[summary.verdict] == 3
    assert "Inconclusive" in render(world.evidence, summary)


def test_what_holds_beside_others_is_green() -> None:
    world = world_with_slo()
    _busy_with_others(world, 120)
    assert concluded(world).verdict == "green"


def test_a_broken_promise_is_red_however_busy_the_machine() -> None:
    world = world_with_slo()
    _busy_with_others(world, 120)
    slow(world, Call.JOIN, 7)
    world.observations.contradict("number changed", 3, "4, then 5")
    assert concluded(world).verdict == "red"
    world = world_with_slo()
    _busy_with_others(world, 120)
    world.evidence.meters.error("JOIN: 500", 7_000_000)  # a wrong answer is no late one
    assert concluded(world).verdict == "red"


def test_a_slow_server_on_a_free_machine_is_red() -> None:
    world = world_with_slo()
    _busy_with_others(world, 2)
    slow(world, Call.JOIN, 7)
    assert concluded(world).verdict == "red"
    _busy_with_others(world, 120, range(3))  # others for three seconds, and slow in another one
    world = world_with_slo()
    slow(world, Call.JOIN, 7)
    assert concluded(world).verdict == "red"


def test_a_few_seconds_of_others_are_left_out_and_the_rest_is_judged() -> None:
    world = world_with_slo()
    _busy_with_others(world, 120, range(7, 9))
    slow(world, Call.JOIN, 7)
    summary = concluded(world)
    assert summary.verdict == "green"
    assert summary.plain()["marked"] == {7: "others took 60 % of the machine", 8: "others took 60 % of the machine"}


def test_cores_that_were_full_with_more_than_the_server_are_nobodys_fault() -> None:
    world = world_with_slo()
    slow(world, Call.JOIN, 7)
    cpu = world.evidence.seen.cpu
    world.evidence.cores = 2
    cpu["workers"] = dict.fromkeys(range(END_S), 110.0)
    cpu["store"] = dict.fromkeys(range(END_S), 20.0)
    cpu["others"] = dict.fromkeys(range(END_S), 0.0)
    cpu["generator"] = dict.fromkeys(range(END_S), 68.0)
    summary = concluded(world)
    assert summary.verdict == "inconclusive"
    assert any("all cores were full in 1 of the 1 s concerned" in why for why in summary.inconclusive)


def test_cores_that_the_server_filled_alone_are_its_own_limit() -> None:
    world = world_with_slo()
    slow(world, Call.JOIN, 7)
    cpu = world.evidence.seen.cpu
    world.evidence.cores = 2
    cpu["workers"] = dict.fromkeys(range(END_S), 180.0)
    cpu["store"] = dict.fromkeys(range(END_S), 12.0)
    cpu["others"] = dict.fromkeys(range(END_S), 0.0)
    cpu["generator"] = dict.fromkeys(range(END_S), 7.0)
    assert concluded(world).verdict == "red"


def test_a_server_whose_processes_are_not_known_cannot_be_told_from_others() -> None:
    world = world_with_slo()
    slow(world, Call.JOIN, 7)
    world.evidence.cores = 2
    world.evidence.seen.cpu["others"] = dict.fromkeys(range(END_S), 120.0)  # with --host, its own workers are in it
    assert concluded(world).verdict == "red"


def test_a_generator_that_was_the_limit_is_inconclusive_and_not_red() -> None:
    world = world_with_slo()
    for second in range(END_S):
        world.evidence.meters.late(900_000, second * 1_000_000)
    world.evidence.slo = msgspec.structs.replace(world.evidence.slo, lateness=None)
    summary = concluded(world)
    assert (summary.verdict, summary.limited) == ("inconclusive", True)


def test_a_run_whose_store_nobody_could_read_is_inconclusive() -> None:
    world = world_with_slo()
    world.evidence.truth = None
    summary = concluded(world)
    assert summary.verdict == "inconclusive"
    assert any(why.startswith("places dense") for why in summary.inconclusive)


def test_junit_skips_what_is_inconclusive_and_says_why() -> None:
    world = world_with_slo()
    _busy_with_others(world, 120)
    slow(world, Call.JOIN, 7)
    root = ElementTree.fromstring(junit(concluded(world)))  # noqa: S314  (our own)
    skipped = {case.get("name"): case.find("skipped") for case in root.iter("testcase")}
    told = skipped["p99 join"]
    assert told is not None
    assert (told.get("message") or "").startswith("inconclusive: ")
    assert root.find(".//failure") is None
    assert [suite.get("failures") for suite in root.findall("testsuite")] == ["0", "0"]


@pytest.mark.parametrize(
    ("codes", "worst"), [((0, 3), 3), ((3, 1, 0), 1), ((1, 2), 2), ((0, 0), 0), ((3, 130), 130), ((2, 3), 2)]
)
def test_of_several_runs_the_gravest_verdict_counts(
    codes: tuple[int, ...], worst: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(codes)
    monkeypatch.setattr(rehearsal, "run", lambda options: left.pop(0))
    assert rehearsal.run_all([Options(residents=1) for _ in codes]) == worst


# L6: said at once, and by TLS


def _rehearse(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as somebody types it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "server.cli", "rehearse", *arguments], cwd=REPO, env=environment(**env),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _papers_written(done: subprocess.CompletedProcess[str]) -> bool:
    return "writing the papers" in done.stdout


def test_a_run_shorter_than_the_draw_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    done = _rehearse("--minutes", "1", "--report", str(tmp_path / "r.html"))
    assert done.returncode == 2
    assert "--minutes 1: the draw of 440106 ends after 120 s" in done.stdout
    assert "take at least 3.0" in done.stdout
    assert not _papers_written(done)


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        ({}, ("--district", "440199"), "--district 440199: the city file has none of that code"),
        ({}, ("--district", "440112"), "--district 440112: has no window in the city file"),
        ({}, ("--district", "440104"), "opens in 28"),  # Yuexiu's window begins at 16:00
        ({"timezone": "Mars"}, (), "--city: city.toml: timezone: expected an IANA time zone"),
        ({"districts": "broken"}, (), "--city: city.toml: not TOML"),
    ],
)
def test_a_city_that_does_not_fit_the_run_is_said_before_anything_is_written(
    change: dict[str, str], arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    text = SHIPPED_CITY.read_text("utf-8")
    for key in change:
        text = {
            "timezone": text.replace("Asia/Shanghai", "Mars/Olympus", 1), "districts": text + "\n[[districts",
        }[key]  # fmt: skip
    (tmp_path / "city.toml").write_text(text, "utf-8")
    done = _rehearse("--city", str(tmp_path / "city.toml"), "--report", str(tmp_path / "r.html"), *arguments)
    assert done.returncode == 2
    assert words in done.stdout.replace("\n", " ")
    assert not _papers_written(done)


def test_a_report_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    assert problem_of(Options(report=str(tmp_path))) == f"--report: {tmp_path} cannot be written"
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "r.json"
    assert problem_of(Options(report=None, json=str(inside))) == f"--json: {inside} cannot be written"
    assert problem_of(Options(report=str(tmp_path / "new" / "folder" / "r.html"))) is None


@pytest.mark.parametrize("kind", ["store_url", "cluster_url"])
def test_a_store_in_use_is_refused_unless_asked_for(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    options = Options(redis_url=url)
    check_store(options)
    with closing(connect(url)) as client:
        client.set("registry:{somebody}", b"real")  # on one node of the cluster: each is asked
    with pytest.raises(CannotRehearse, match=r"is in use \(1 keys\).*--used-store"):
        check_store(options)
    check_store(Options(redis_url=url, used_store=True))
    check_store(Options())


def test_a_store_that_does_not_answer_is_said_without_its_password() -> None:
    with pytest.raises(CannotRehearse, match=r"no store answers at 127\.0\.0\.1:1") as told:
        check_store(Options(redis_url="redis://somebody:secret@127.0.0.1:1"))
    assert "secret" not in str(told.value)


@contextmanager
def _by_tls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a TLS server of another process, whose certificate is in `folder`."""
    command = [sys.executable, "-m", "tests.support.tls_server", str(folder)]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        port = int(server.stdout.readline())
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
        wire_tls.context.cache_clear()
        connection = connection_to(address_of(f"https://localhost:{port}"))
        try:
            yield connection
        finally:
            connection.close()
            server.stdin.close()
            wire_tls.context.cache_clear()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_a_server_behind_tls_is_rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _by_tls(tmp_path, monkeypatch) as connection:
        for path in ("/one", "/two"):
            assert connection.exchange(_get(path)).body == path.encode() * 5000  # of several records
        assert connection.exchange(_get("/last")).body == b"/last" * 5000  # and ends the connection
        assert connection.exchange(_get("/three")).body == b"/three" * 5000


def test_a_kept_tls_connection_that_was_idle_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_IDLE_SECONDS", -1.0)  # looked at each time: the session's tickets lie there unread
    with _by_tls(tmp_path, monkeypatch) as connection:
        first = connection.exchange(_get("/peer")).body
        assert connection.exchange(_get("/peer")).body == first  # the same port: the same connection
        assert connection.exchange(_get("/closes")).status == 200  # the server ends it after its answer, unannounced
        gevent.sleep(0.2)
        assert connection.exchange(_get("/peer")).body != first


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _by_tls(tmp_path, monkeypatch) as connection:
        monkeypatch.delenv("SSL_CERT_FILE")
        wire_tls.context.cache_clear()
        with pytest.raises(Broken, match=r"certificate is not trusted: .*SSL_CERT_FILE"):
            connection.exchange(_get("/"))


def test_plain_http_where_tls_was_asked_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = StreamServer(("127.0.0.1", 0), lambda peer, _: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    listening.start()
    try:
        with pytest.raises(Broken, match="no TLS"):
            connection_to(Address("127.0.0.1", listening.server_port, tls=True)).exchange(_get("/"))
    finally:
        listening.stop()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("https://queue.example", Address("queue.example", 443, tls=True)),
        ("https://127.0.0.1:8443/", Address("127.0.0.1", 8443, tls=True)),
        ("http://127.0.0.1:8000", Address("127.0.0.1", 8000)),
    ],
)
def test_an_address_says_whether_it_is_by_tls(host: str, address: Address) -> None:
    assert problem_of(Options(host=host)) is None
    assert address_of(host) == address
