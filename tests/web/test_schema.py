"""The schema at /schema says what the server does: schemathesis finds nothing that is otherwise."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.serving import (
    REPO,
    House,
    environment,
    helper_token,
    operator_token,
    person,
    quick_city,
    registry_csv,
    run_cli,
    up,
)

CALLS = {
    ("get", "/api/v1/city"),
    ("get", "/api/v1/openings/{district}"),
    ("patch", "/api/v1/openings/{district}"),
    ("get", "/api/v1/openings/{district}/draw/leaves"),
    ("get", "/api/v1/ticket/proof"),
    ("get", "/api/v1/sites"),
    ("get", "/api/v1/allotments/{district}/{date}"),
    ("get", "/api/v1/allotments/{district}/{date}/file"),
    ("get", "/api/v1/log/head"),
    ("get", "/api/v1/log/key"),
    ("get", "/api/v1/log/entries"),
    ("get", "/api/v1/log/growth"),
    ("get", "/api/v1/log/inclusion"),
    ("post", "/api/v1/openings/{district}/tickets"),
    ("get", "/api/v1/ticket"),
    ("delete", "/api/v1/ticket"),
    ("post", "/api/v1/ticket/alerts"),
    ("post", "/api/v1/ticket/more-time"),
    ("post", "/api/v1/passes"),
    ("post", "/api/v1/passes/token"),
    ("get", "/.well-known/jwks.json"),
    ("post", "/api/v1/registrations"),
    ("get", "/api/v1/registrations/{no}"),
    ("get", "/api/v1/registrations/{no}/qr.svg"),
    ("get", "/api/v1/registrations/{no}/appointment.ics"),
    ("patch", "/api/v1/registrations/{no}"),
    ("post", "/api/v1/registrations/{no}/cancellation"),
    ("post", "/api/v1/openings/{district}/eligibility"),
    ("post", "/api/v1/access-codes"),
    ("post", "/api/v1/access-tokens"),
    ("get", "/api/v1/staff"),
    ("get", "/api/v1/sites/{site}/roster"),
    ("post", "/api/v1/sites/{site}/closures"),
    ("post", "/api/v1/attendances"),
    ("post", "/api/v1/attendances/{no}/undo"),
    ("get", "/api/v1/sites/{site}/roster.csv"),
    ("post", "/api/v1/sites/{site}/lookups"),
    ("post", "/api/v1/sites/{site}/searches"),
    ("get", "/api/v1/assist"),
    ("post", "/api/v1/assist/openings/{district}/tickets"),
    ("post", "/api/v1/assist/passes"),
    ("post", "/api/v1/assist/registrations"),
    ("post", "/api/v1/assist/leavings"),
    ("get", "/api/v1/operations/acts"),
    ("delete", "/api/v1/bars/{no}"),
    ("get", "/api/v1/operations"),
    ("get", "/api/v1/operations/calls"),
    ("delete", "/api/v1/operations/calls/{no}"),
    ("get", "/api/v1/operations/attendances"),
    ("post", "/api/v1/operations/attendances/{no}/{date}/acceptance"),
    ("delete", "/api/v1/operations/attendances/{no}/{date}"),
    ("get", "/api/v1/operations/bars"),
    ("get", "/api/v1/operations/dead"),
    ("post", "/api/v1/operations/dead/{pointer}/resend"),
    ("post", "/api/v1/capacity"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}

# 425, 410 and 503 are answers to good requests at a wrong moment; whether papers or wishes are right is no matter of
# form; and to JSON Schema 1254.0 is an integer, to us it is not.
CONFIGURATION = """
[generation]
deterministic = true
max-examples = 30
database = "none"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "425", "503"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "410", "422", "425"]
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "503"]
[parameters]
"path.district" = "440106"
"query.district" = "440106"
"path.no" = "{no}"
"path.site" = "440106-1"
[[operations]]
include-name = "GET /api/v1/ticket"
headers = {{ Authorization = "Bearer {waiting}" }}
[[operations]]
include-name-regex = "POST /api/v1/ticket/(alerts|more-time)$"
headers = {{ Authorization = "Bearer {waiting}" }}
[[operations]]
include-name = "DELETE /api/v1/ticket"
headers = {{ Authorization = "Bearer {leaving}" }}
[[operations]]
include-name = "POST /api/v1/passes"
headers = {{ Authorization = "Bearer {called}" }}
[[operations]]
include-name = "POST /api/v1/passes/token"
headers = {{ Authorization = "Bearer {pass_}" }}
[[operations]]
include-name = "POST /api/v1/openings/{{district}}/tickets"
checks.positive_data_acceptance.expected-statuses = ["2xx", "403", "409", "410", "422", "425", "503"]
[[operations]]
include-name = "POST /api/v1/registrations"
headers = {{ Authorization = "Bearer {pass_}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "409", "410", "422"]
[[operations]]
include-name-regex = "GET /api/v1/registrations/{{no}}(/appointment.ics)?$"
headers = {{ Authorization = "Bearer {receipt}" }}
[[operations]]
include-name = "PATCH /api/v1/registrations/{{no}}"
headers = {{ Authorization = "Bearer {receipt}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "409", "422"]
[[operations]]
include-name = "POST /api/v1/registrations/{{no}}/cancellation"
headers = {{ Authorization = "Bearer {receipt}" }}
[[operations]]
include-name-regex = "POST /api/v1/(access-codes|access-tokens|openings/{{district}}/eligibility)"
checks.positive_data_acceptance.expected-statuses = ["2xx", "403", "409", "422", "425", "429", "503"]
[[operations]]
include-name-regex = "(GET|POST) /api/v1/(staff|sites/{{site}}/.*|attendances(/{{no}}/undo)?)$"
headers = {{ Authorization = "Bearer {operator}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422", "429"]
[[operations]]
include-name-regex = "(GET|POST) /api/v1/assist.*$"
headers = {{ Authorization = "Bearer {helper}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "410", "422", "425", "429"]
[[operations]]
include-name-regex = "(GET|DELETE|POST) /api/v1/(bars/{{no}}|operations.*|capacity)$"
headers = {{ Authorization = "Bearer {operator}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]
[[operations]]
include-name = "PATCH /api/v1/openings/{{district}}"
headers = {{ Authorization = "Bearer {operator}" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]
"""


async def test_the_schema_has_every_call_and_asks_for_no_papers_in_an_address(house: House) -> None:
    answer = await house.client.get("/schema")
    assert answer.status_code == 200
    schema = answer.json()
    assert {(method, path) for path, item in schema["paths"].items() for method in item} == CALLS
    parameters = {
        p["name"] for item in schema["paths"].values() for call in item.values() for p in call.get("parameters", [])
    }
    log = {"start", "count", "first", "second", "index", "size"}
    assert parameters == {"district", "no", "site", "date", "window", "slots", "pointer", "confirmed"} | log
    join = schema["paths"]["/api/v1/openings/{district}/tickets"]["post"]
    assert {"200", "201", "403", "410", "422", "425", "503"} <= join["responses"].keys()
    body = join["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert set(schema["components"]["schemas"][body]["required"]) == {"id_type", "id_number", "name", "phone"}
    poll = schema["paths"]["/api/v1/ticket"]["get"]
    told = poll["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert schema["components"]["schemas"][told]["properties"].keys() >= {
        "state", "number", "serving", "ahead", "eta_seconds", "poll_after_seconds", "claim_before", "ticket",
        "eta_low_seconds",
        "eta_high_seconds",
    }  # fmt: skip
    assert poll["security"] == [{"ticket": []}]


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    clock = ("--clock", "2021-06-19T08:00:00+08:00")
    with up(tmp_path / "data", "--workers", "1", "--city", str(quick_city(tmp_path)), *clock) as server:
        registry = registry_csv(tmp_path / "registry.csv", (person(i) for i in range(4)))
        assert run_cli("import", "registry", str(registry), "--data-dir", str(server.data_dir)).returncode == 0
        tickets = [server.join(person(i))["ticket"] for i in range(4)]
        done = server.register(server.claim(tickets[0]))
        configuration = tmp_path / "schemathesis.toml"
        configuration.write_text(
            CONFIGURATION.format(
                no=done["registration_no"], receipt=done["receipt"], pass_=server.claim(tickets[1]), called=tickets[1],
                waiting=tickets[2], leaving=tickets[3], operator=operator_token(server.data_dir),
                helper=helper_token(server.data_dir),
            )
        )  # fmt: skip
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"]
        found = subprocess.run(
            [*command, f"{server.url}/schema", "--checks", "all", "--no-color", "--workers", "1"],
            cwd=tmp_path, env=environment(PYTHONPATH=str(REPO)), capture_output=True, text=True, timeout=240,
            check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
        tested = re.search(r"Tested: (\d+)", found.stdout)
        cases = re.search(r"(\d+) generated", found.stdout)
        assert tested is not None
        assert cases is not None
        assert int(tested[1]) == len(CALLS)
        assert int(cases[1]) > 200
        assert "Traceback" not in server.logged()
        assert '"unexpected"' not in server.logged()
