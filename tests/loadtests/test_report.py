"""The report and the verdict say what was found, to people and to machines, and reach out to no other host."""

import re
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

from loadtests.audit.promises import audit
from loadtests.cli.rehearsal import run
from loadtests.client.answers import Call
from loadtests.crowd.arrivals import parse_curve
from loadtests.crowd.crowd_file import load_profile
from loadtests.report.against import compare, load_run
from loadtests.report.charts import Series, bar_chart, line_chart, short
from loadtests.report.junit import junit
from loadtests.report.page import render
from loadtests.report.summary import Summary, summarise
from loadtests.report.verdict import show
from loadtests.resident.pace import Pace
from loadtests.run.options import CannotRehearse, Options, crowd_of
from tests.support.honest_opening import World
from tests.support.honest_opening_bots import Infested


def concluded(world: World) -> Summary:
    curve, pace = parse_curve("door:0.333", 60, 10).describe(), Pace.of(60, world.crowd.profile).describe()
    return summarise(world.evidence, audit(world.evidence), Options(residents=90), curve, pace)


def test_a_green_report_states_its_assumptions_and_needs_no_other_host() -> None:
    world = World()
    world.evidence.seen.cpu["generator"] = {0: 40.0, 1: 50.0}
    summary = concluded(world)
    page = render(world.evidence, summary)
    assert summary.passed
    assert "Every promise held" in page
    assert "this curve is an assumption" in page
    assert "exponential decay" in page
    assert page.count("<svg") >= 6
    assert not re.search(r"""(src|href)=|https?://|url\(""", page)


def test_a_red_report_names_what_broke_and_escapes_it() -> None:
    world = World()
    world.observations.contradict("pass changed", 1, "<script>alert(1)</script>")
    world.evidence.meters.error("JOIN: <b>500</b>", 1)
    world.evidence.fault, world.evidence.fault_second = "kill-store", 30
    summary = concluded(world)
    page = render(world.evidence, summary)
    assert not summary.passed
    assert "RED" in page
    assert "<script>alert" not in page
    assert "<b>500</b>" not in page
    assert "kill-store" in page


def test_a_limited_generator_is_said_aloud() -> None:
    world = World()
    for k in range(20):
        world.evidence.meters.late(900_000, k * 1_000_000)
    summary = concluded(world)
    assert summary.limited
    assert "the generator was the limit" in render(world.evidence, summary)
    shown = StringIO()
    show(summary, Console(file=shown, width=160), Options())
    assert "The generator was the limit" in shown.getvalue()


def test_the_figures_are_plain_json() -> None:
    plain = msgspec.json.decode(msgspec.json.encode(concluded(World()).plain()))
    assert plain["passed"] is True
    assert len(plain["checks"]) == 25
    assert plain["totals"]["joined"] > 50
    assert plain["latency_ms"]["join"]["p99"] <= 1.0
    assert plain["totals"]["registered"] == 12  # who cancelled, and who waits again, was registered too
    assert plain["totals"]["cancellations"] == plain["totals"]["codes asked"] == 0  # nothing of it was metered here


def test_the_stores_password_is_told_to_nobody() -> None:
    world = World()
    options = Options(redis_url="redis://:p@ss/w0rd@10.0.0.1:6379/0")
    summary = summarise(world.evidence, audit(world.evidence), options, "", "")
    for told in (render(world.evidence, summary), junit(summary).decode(), str(summary.plain())):
        assert "w0rd" not in told
        assert "10.0.0.1:6379/0" in told


def test_the_tables_show_every_call_and_the_shares_behind_it() -> None:
    world = World()
    for call in Call:
        world.evidence.meters.answered(call, 5_000_000, 5_000_010, 5_000_900)
        world.evidence.meters.answers[(call, 200, "")] += 1
    world.evidence.meters.count("cancellations", 5_000_000)
    summary = concluded(world)
    page = render(world.evidence, summary)
    assert summary.latency_ms.keys() == {call.name.lower() for call in Call}
    for name in ("eligibility", "sites", "qr", "change", "cancel", "access_code", "access_token", "calendar"):
        assert page.count(f"<td>{name}</td>") == 2  # latencies and answers
    assert "<b>1</b><span>cancelled</span>" in page
    for words in ("changes 3 %", "cancels 1.5 %", "returns 1.5 %", "loses receipt 1 %", "GET /sites by 2%"):
        assert words in page


def test_the_report_states_the_crowd_its_networks_and_what_bots_were_told() -> None:
    world = Infested()
    networks = load_profile("phones").networks
    object.__setattr__(world.crowd, "profile", msgspec.structs.replace(load_profile("bots"), networks=networks))
    summary = summarise(world.evidence, audit(world.evidence), Options(residents=90, crowd="bots"), "even", "slow")
    page = render(world.evidence, summary)
    assert summary.passed
    for words in (
        "bots (Guangzhou, window one, with bots)", "96.0% of them eligible",
        "45% 4G and 5G: round trip 45 ms, p95 200 ms, 1.0% lost, 500 kB/s up, 5% reconnect",
        "0.02 fast-poller a resident, every 0.2 s",
    ):  # fmt: skip
        assert words in page
    assert "<td>forger</td>" in page
    assert ("forger", 401, "forged", 30) in summary.bots
    assert summary.totals["bot requests"] == 400
    assert summary.totals["errors"] == 0


def test_the_verdict_shows_every_check() -> None:
    world = World()
    shown = StringIO()
    show(concluded(world), Console(file=shown, width=160), Options())
    for check in audit(world.evidence):
        assert check.name in shown.getvalue()
    assert "25 of 25 checks are green" in shown.getvalue()


def test_charts_bear_emptiness_and_extremes() -> None:
    assert "nothing to show" in line_chart([], unit="ms")
    assert "nothing to show" in line_chart([Series("p50", [(90.0, 1.0)])], unit="ms", seconds=(0.0, 60.0))
    assert "nothing to show" in bar_chart([], unit="people", x_label="minutes")
    assert "polyline" in line_chart([Series("p50", [(0.0, 0.0)])], unit="ms", log=True)
    steep = line_chart(
        [Series("p50", [(0.0, 1e-9), (3600.0, 1e9)])], unit="ms", log=True, limit=10.0, marks=[(5.0, "x")]
    )
    assert "nan" not in steep
    assert "inf" not in steep
    assert [short(v) for v in (0, 0.5, 999, 1200, 3_400_000)] == ["0", "0.5", "999", "1.2k", "3.4M"]


@pytest.mark.parametrize(
    "options",
    [
        Options(residents=0),
        Options(minutes=0),
        Options(fault="kill-everything"),
        Options(fault="kill-store", host="http://127.0.0.1:1"),
        Options(fault="kill-store", redis_url="redis://127.0.0.1:1"),
        Options(fault="kill-worker", fault_at=1.5),
        Options(host="127.0.0.1:8000"),
        Options(arrivals="crowd"),
        Options(districts=()),
        Options(crowd="nowhere"),
        Options(minutes=1, warm_up_seconds=60),
        Options(slo="nowhere.toml"),
        Options(against="nowhere.json"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_starts(options: Options) -> None:
    with pytest.raises(CannotRehearse):
        run(options)


def test_a_server_that_is_not_there_is_said_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(Options(residents=10, host="http://127.0.0.1:1", report=None)) == 2
    assert "cannot rehearse" in capfd.readouterr().out


def test_a_crowd_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("about = 5")
    with pytest.raises(CannotRehearse, match=r"^--crowd: mine.toml: about: expected `str`, got `int`$"):
        run(Options(crowd=str(tmp_path / "mine.toml")))
    everywhere = tuple(district.code for district in load_profile().districts)
    with pytest.raises(CannotRehearse, match=r"^--districts: expected one of the crowd's to be left"):
        crowd_of(Options(districts=everywhere))
    assert crowd_of(Options(residents=10)).districts == ("440106", "440111")
    assert crowd_of(Options(residents=10, districts=("440105",))).districts == ("440105",)


def _rehearse(options: Options) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "loadtests.cli.drive", msgspec.json.encode(options).decode()])


def test_a_small_rehearsal_end_to_end_is_green(tmp_path: Path) -> None:
    city = Path(__file__).parents[2] / "loadtests" / "cities" / "short.toml"
    options = Options(
        residents=150, minutes=0.25, city=str(city), workers=1, lead_seconds=3, lines=20,
        slo=str(tmp_path / "slo.toml"), report=str(tmp_path / "r.html"),
        json=str(tmp_path / "r.json"), junit=str(tmp_path / "r.xml"),
    )  # fmt: skip
    # other tests run at the same time
    (tmp_path / "slo.toml").write_text("[p99_ms]\njoin = 5000\n[errors]\nshare = 0\n[generator]\nmarked_share = 1\n")
    assert _rehearse(options).wait(120) == 0
    figures = msgspec.json.decode((tmp_path / "r.json").read_bytes())
    assert figures["passed"]
    assert figures["totals"]["registered"] > 20
    sent = figures["residents_view"]["totals"]
    assert sent["requests"] == figures["totals"]["requests"]  # every one of them was answered
    assert sent["bytes_up"] > 80 * sent["requests"]  # `GET /api/v1/city HTTP/1.1` and two short heads are more
    assert sent["bytes_down"] > 80 * sent["requests"]
    assert {line["name"]: line["state"] for line in figures["objectives"]} == {"p99 join": "held", "errors": "held"}
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    cases = ElementTree.parse(tmp_path / "r.xml")  # noqa: S314  (our own)
    assert cases.getroot().find("testsuite/testcase[@name='p99 join']") is not None
    # a run against itself: nothing has changed
    earlier = load_run(tmp_path / "r.json")
    assert {one.word for one in compare(earlier, earlier).figures} <= {"within noise", "not compared"}


def test_an_ended_rehearsal_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = _rehearse(Options(residents=100, minutes=5, workers=1, report=None))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("jiaohao-rehearsal-*/data/store.pid")) and time.monotonic() < deadline:
        time.sleep(0.05)  # until it has started something to leave behind
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert list(tmp_path.iterdir()) == []
