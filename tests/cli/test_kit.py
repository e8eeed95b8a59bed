"""`jiaohao kit`: each file passes the tool that reads it, alerts fire when they should, and nothing of hand is lost."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import kubernetes_validate
import pytest
import yaml

from server.core.city import SHIPPED_CITY
from tests.support.front import command_of
from tests.support.serving import run_cli
from tests.support.tls_server import make_certificate

TRUE: Final = shutil.which("true") or "/bin/true"


def kit(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, for the shipped city."""
    return run_cli("kit", str(folder), "--city", str(SHIPPED_CITY), *options)


def written_by(folder: Path, *options: str) -> Path:
    """The same, where it is to succeed."""
    done = kit(folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole kit, whose program is one that is there and whose certificate is real."""
    folder = tmp_path_factory.mktemp("kit")
    make_certificate(folder)
    whole = folder / "whole.pem"
    whole.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return written_by(folder / "kit", "--program", TRUE, "--certificate", str(whole))


def passes(*command: str, cwd: Path | None = None) -> None:
    """A tool finds nothing to blame."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


# Each file with the tool that reads it


def test_systemd_reads_the_units(written: Path) -> None:
    units = sorted((written / "servers/etc/systemd/system").iterdir())
    assert len(units) == 8
    passes(command_of("systemd-analyze", "systemd"), "verify", "--recursive-errors=no", *map(str, units))
    for unit in units:  # what it does not look for: a timer without its service
        assert unit.suffix == ".service" or unit.with_suffix(".service") in units


def test_nginx_and_haproxy_read_what_stands_in_front(written: Path, tmp_path: Path) -> None:
    for name, file, options in (("nginx", "nginx.conf", ("-t", "-c")), ("haproxy", "haproxy.cfg", ("-c", "-f"))):
        text = (written / "front" / file).read_text().replace("/var/cache/jiaohao", str(tmp_path))
        assert "10.0.0.11:8000" in text and "10.0.0.12:8000" in text
        (tmp_path / file).write_text(text)
        passes(command_of(name), *options, str(tmp_path / file))


def test_compose_reads_its_file(written: Path) -> None:
    passes(command_of("docker-compose", "docker-compose"), "config", "-q", cwd=written / "containers")


def test_kubernetes_schemas_hold_for_the_manifests_and_their_names_lead_somewhere(written: Path) -> None:
    made = [
        each
        for file in ("jiaohao.yml", "secrets.yml")
        for each in yaml.safe_load_all((written / "kubernetes" / file).read_text())
    ]
    for each in made:
        for version in ("1.27", "1.34"):
            kubernetes_validate.validate(each, version, strict=True)
    # what the schemas do not know: what is mounted, given and scaled is there
    names = {(each["kind"], each["metadata"]["name"]) for each in made}
    text = (written / "kubernetes" / "jiaohao.yml").read_text()
    for kind, pattern in (
        ("Secret", r"secretRef: {name: ([a-z-]+)}"),
        ("Secret", r"secretName: ([a-z-]+)"),
        ("ConfigMap", r"configMap: {name: ([a-z-]+)}"),
        ("PersistentVolumeClaim", r"claimName: ([a-z-]+)"),
    ):
        found = re.findall(pattern, text)
        assert found and {(kind, name) for name in found} <= names, pattern
    templates = [each["spec"]["template"] for each in made if each["kind"] in ("Deployment", "StatefulSet")]
    labels = {json.dumps(template["metadata"]["labels"]) for template in templates}
    for each in made:
        selector = each.get("spec", {}).get("selector", {})
        wanted = selector.get("matchLabels", selector)
        assert not wanted or json.dumps(wanted) in labels, each["metadata"]["name"]


def test_prometheus_reads_its_files(written: Path) -> None:
    tool = command_of("promtool", "prometheus")
    passes(tool, "check", "rules", "--lint-fatal", "alerts.yml", cwd=written / "monitoring")
    passes(tool, "check", "config", "prometheus.yml", cwd=written / "monitoring")


# Alerts


class Case(NamedTuple):
    """Series of which an alert fires, and one value of them that is well: name -> values, as promtool has them."""

    labels: dict[str, str]
    firing: dict[str, str]
    quiet: dict[str, str]
    at: str = "10m"


OF_DISTRICT = {"district": "440106"}
CALLING = {
    'jiaohao_opening_waiting{district="440106"}': "500x60",
    'jiaohao_opening_is_calling{district="440106"}': "1x60",
    'jiaohao_opening_rate_per_second{district="440106"}': "20x60",
}
IN_HALF_AN_HOUR = {  # promtool's clock begins at 0
    'jiaohao_opening_opens_timestamp_seconds{district="440106"}': "2400x60",
    'jiaohao_opening_closes_timestamp_seconds{district="440106"}': "9600x60",
}
MATCHED = {'jiaohao_delivery_receipts{what="matched"}': "900x200"}
CASES: Final = {
    "JiaohaoNobodyIsCalled": Case(
        OF_DISTRICT,
        CALLING | {'jiaohao_opening_called{district="440106"}': "700x60"},
        CALLING | {'jiaohao_opening_called{district="440106"}': "0+300x60"},
    ),
    "JiaohaoStoreDown": Case({}, {"jiaohao_store_up": "0x60"}, {"jiaohao_store_up": "1x60"}),
    "JiaohaoNoServer": Case(
        {"instance": "a:9088", "job": "jiaohao"},
        {'up{job="jiaohao",instance="a:9088"}': "0x60"},
        {'up{job="jiaohao",instance="a:9088"}': "1x60"},
    ),
    "JiaohaoErrors": Case(
        {"code": "overloaded"},
        {
            'jiaohao_requests_total{call="join",code="overloaded"}': "0+2x60",
            'jiaohao_requests_total{call="join",code="joined"}': "0+100x60",
        },
        {
            'jiaohao_requests_total{call="join",code="overloaded"}': "0+1x60",
            'jiaohao_requests_total{call="join",code="joined"}': "0+200x60",
        },
    ),
    "JiaohaoSlowStore": Case(
        {},
        {
            'jiaohao_store_script_seconds_bucket{script="join",le="0.5"}': "0x60",
            'jiaohao_store_script_seconds_bucket{script="join",le="1.0"}': "0+10x60",
            'jiaohao_store_script_seconds_bucket{script="join",le="+Inf"}': "0+10x60",
        },
        {
            'jiaohao_store_script_seconds_bucket{script="join",le="0.5"}': "0+10x60",
            'jiaohao_store_script_seconds_bucket{script="join",le="1.0"}': "0+10x60",
            'jiaohao_store_script_seconds_bucket{script="join",le="+Inf"}': "0+10x60",
        },
    ),
    "JiaohaoReplicaMissing": Case(
        {"node": "n"}, {'jiaohao_store_replicas{node="n"}': "1x60"}, {'jiaohao_store_replicas{node="n"}': "2x60"}
    ),
    "JiaohaoReplicaBehind": Case(
        {"node": "n", "replica": "r"},
        {'jiaohao_store_replica_behind_bytes{node="n",replica="r"}': "2000000x60"},
        {'jiaohao_store_replica_behind_bytes{node="n",replica="r"}': "2000x60"},
    ),
    "JiaohaoStoreLogFails": Case(
        {"node": "n"}, {'jiaohao_store_log_ok{node="n"}': "0x60"}, {'jiaohao_store_log_ok{node="n"}': "1x60"}
    ),
    "JiaohaoStoreFull": Case(
        {"node": "n"},
        {'jiaohao_store_memory_used_bytes{node="n"}': "81x60", 'jiaohao_store_memory_limit_bytes{node="n"}': "100x60"},
        {'jiaohao_store_memory_used_bytes{node="n"}': "81x60", 'jiaohao_store_memory_limit_bytes{node="n"}': "0x60"},
    ),
    "JiaohaoConnectionsFull": Case(
        {"instance": "a"},
        {'jiaohao_connections_open{instance="a"}': "76x60", 'jiaohao_connections_limit{instance="a"}': "100x60"},
        {'jiaohao_connections_open{instance="a"}': "74x60", 'jiaohao_connections_limit{instance="a"}': "100x60"},
    ),
    "JiaohaoOpeningNotPrepared": Case(
        OF_DISTRICT,
        IN_HALF_AN_HOUR | {'jiaohao_opening_is_prepared{district="440106"}': "0x60"},
        IN_HALF_AN_HOUR | {'jiaohao_opening_is_prepared{district="440106"}': "1x60"},
    ),
    "JiaohaoRollBack": Case(
        OF_DISTRICT,
        {'jiaohao_opening_forgotten{district="440106"}': "3x60"},
        {'jiaohao_opening_forgotten{district="440106"}': "0x60"},
    ),
    "JiaohaoMessagesStandStill": Case(
        OF_DISTRICT,
        {'jiaohao_message_oldest_age_seconds{district="440106"}': "800+15x200"},
        {'jiaohao_message_oldest_age_seconds{district="440106"}': "60x200"},
        "20m",
    ),
    "JiaohaoDeadLetters": Case(
        OF_DISTRICT,
        {'jiaohao_messages{district="440106",state="dead"}': "2x60"},
        {'jiaohao_messages{district="440106",state="dead"}': "0x60"},
    ),
    "JiaohaoReceiptsUnmatched": Case(
        {},
        MATCHED | {'jiaohao_delivery_receipts{what="unmatched"}': "60x200"},
        MATCHED | {'jiaohao_delivery_receipts{what="unmatched"}': "40x200"},
        "20m",
    ),
    "JiaohaoNightNotDone": Case(  # it begins at 20:10, so it is ten to six and ten past six
        OF_DISTRICT,
        {'jiaohao_night_unfinished_seconds{district="440106"}': "36000x60"},
        {'jiaohao_night_unfinished_seconds{district="440106"}': "34800x60"},
    ),
    "JiaohaoNotUnderstood": Case(
        {"script": "join"},
        {'jiaohao_unknown_statuses_total{script="join"}': "0x20 1x40"},
        {'jiaohao_unknown_statuses_total{script="join"}': "4x60"},
    ),
    "JiaohaoSomebodyGuesses": Case(
        OF_DISTRICT,
        {'jiaohao_people_locked{district="440106"}': "101x60"},
        {'jiaohao_people_locked{district="440106"}': "100x60"},
    ),
}


def rules_of(written: Path) -> dict[str, Any]:
    """Alert -> rule."""
    (group,) = yaml.safe_load((written / "monitoring/alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_each_alert_fires_when_its_promise_breaks_and_not_before(written: Path, tmp_path: Path) -> None:
    rules = rules_of(written)
    assert set(rules) == set(CASES)
    tests = [
        {
            "interval": "15s",
            "name": f"{alert} {'fires' if fires else 'is quiet'}",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": case.at,
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                }
            ],
        }
        for alert, case in CASES.items()
        for fires, series in ((True, case.firing), (False, case.quiet))
    ]
    shutil.copy(written / "monitoring/alerts.yml", tmp_path)
    body = {"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(body))
    passes(command_of("promtool", "prometheus"), "test", "rules", "tests.yml", cwd=tmp_path)


def test_each_alert_says_what_has_happened_and_what_to_do_first(written: Path) -> None:
    for alert, rule in rules_of(written).items():
        assert rule["labels"]["severity"] in ("page", "warn"), alert
        assert len(rule["annotations"]["summary"]) > 20 and len(rule["annotations"]["do"]) > 40, alert


# Written again


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_secrets_are_made_once_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    first = contents(written_by(tmp_path / "kit"))
    assert contents(written_by(tmp_path / "kit")) == first
    assert contents(written_by(tmp_path / "other"))["secrets.json"] != first["secrets.json"]
    secrets = json.loads(first["secrets.json"])
    for name, content in first.items():
        mode = stat.S_IMODE((tmp_path / "kit" / name).stat().st_mode)
        holds = any(secret.encode() in content for secret in secrets.values())
        assert not holds or mode == 0o600, f"{name} may be read by others"


def test_a_change_reaches_what_follows_from_it_alone(tmp_path: Path) -> None:
    folder = written_by(tmp_path / "kit")
    before = contents(folder)
    written_by(folder, "--workers", "16")
    changed = {name for name, content in contents(folder).items() if before.get(name) != content}
    assert changed == {
        "servers/etc/systemd/system/jiaohao-serve.service", "containers/compose.yml", "kubernetes/jiaohao.yml",
        ".written.json",
    }  # fmt: skip


def test_what_was_changed_by_hand_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    folder = written_by(tmp_path / "kit")
    unit = folder / "servers/etc/systemd/system/jiaohao-serve.service"
    unit.write_text(unit.read_text() + "# mine\n")
    before = contents(folder)
    done = kit(folder, "--workers", "16")
    assert done.returncode != 0 and "jiaohao-serve.service" in done.stderr
    assert contents(folder) == before
    written_by(folder, "--workers", "16", "--force")
    assert "# mine" not in unit.read_text() and "--workers 16" in unit.read_text()


def test_a_dry_run_prints_all_and_writes_nothing(tmp_path: Path) -> None:
    done = kit(tmp_path / "kit", "--dry-run")
    assert done.returncode == 0 and not (tmp_path / "kit").exists()
    assert "jiaohao-serve.service" in done.stdout and "appendfsync always" in done.stdout
    assert not re.search(r"JIAOHAO_SECRET=[0-9a-f]{64}", done.stdout), "a secret that nobody keeps is none"


def test_only_one_part_is_written_where_it_is_said(tmp_path: Path) -> None:
    folder = written_by(tmp_path / "kit", "--only", "monitoring")
    assert {file.name for file in (folder / "monitoring").iterdir()} == {"alerts.yml", "prometheus.yml", "grafana.json"}
    assert not (folder / "servers").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--store", "a", "--store", "b"), "three"),
        (("--host", "a", "--host", "a"), "twice"),
        (("--host", "a b"), "--host"),
        (("--store", "a:x"), "--store"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(options: tuple[str, ...], word: str, tmp_path: Path) -> None:
    done = kit(tmp_path / "kit", *options)
    assert done.returncode != 0 and word in done.stderr
    assert not (tmp_path / "kit").exists()


def test_a_store_alone_has_no_sentinel(tmp_path: Path) -> None:
    folder = written_by(tmp_path / "kit", "--store", "10.0.0.9")
    names = set(contents(folder))
    assert not any("sentinel" in name for name in names)
    env = (folder / "servers/etc/jiaohao/jiaohao.env").read_text()
    assert re.search(r"^JIAOHAO_REDIS_URL=redis://jiaohao:[0-9a-f]{64}@10\.0\.0\.9:6379$", env, re.MULTILINE)
    assert set(CASES) - set(rules_of(folder)) == {"JiaohaoReplicaMissing"}
