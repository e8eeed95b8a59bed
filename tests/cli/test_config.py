"""`jiaohao config`: every setting is told of, its default is the one that counts, and no secret is shown."""

import json
import re
from typing import Any

from server.core.settings import from_environment
from server.core.variables import VARIABLES
from tests.support.serving import REPO, run_cli

SECRETS = {
    "JIAOHAO_REDIS_URL": "redis://u:hidden-1@store",
    "JIAOHAO_SECRET": "ab" * 32,
    "JIAOHAO_OPERATOR_TOKEN": "hidden-2222222222",
}


def told(**env: str) -> dict[str, Any]:
    """What it says of each setting."""
    done = run_cli("config", "--json", **env)
    assert done.returncode == 0, done.stderr
    return {it["name"]: it for it in json.loads(done.stdout)}


def test_what_the_code_reads_is_told_of_and_nothing_else() -> None:
    text = "".join(
        file.read_text() for file in (REPO / "server").rglob("*.py") if file.name not in ("variables.py", "config.py")
    )
    assert set(re.findall(r"JIAOHAO_[A-Z_]+[A-Z]", text)) == {it.name for it in VARIABLES}


def test_a_default_that_is_told_is_the_one_that_counts() -> None:
    bare = from_environment(SECRETS)
    defaults = {name: it["default"] for name, it in told().items()}
    said = SECRETS | {
        name: defaults[name]
        for name in (
            "JIAOHAO_REPLICAS", "JIAOHAO_HEAD_SECONDS", "JIAOHAO_BODY_SECONDS", "JIAOHAO_CONNECTIONS",
            "JIAOHAO_KEEP_SECONDS", "JIAOHAO_LET_GO", "JIAOHAO_OFFSET_MS", "JIAOHAO_PREVIOUS_SECRETS",
        )
    }  # fmt: skip
    assert from_environment(said) == bare
    assert (defaults["JIAOHAO_CONNECTIONS"], defaults["JIAOHAO_REPLICAS"]) == ("8192", "all")  # as the README has them
    for name in ("JIAOHAO_SECRET", "JIAOHAO_OPERATOR_TOKEN", "JIAOHAO_REDIS_URL"):
        assert defaults[name] is None, "a secret has no default"


def test_what_is_set_is_shown_and_of_a_secret_only_that_it_is() -> None:
    here = {name: it["here"] for name, it in told(**SECRETS, JIAOHAO_CONNECTIONS="500").items()}
    assert here["JIAOHAO_CONNECTIONS"] == "500" and here["JIAOHAO_KEEP_SECONDS"] is None
    assert [here[name] for name in SECRETS] == ["(set)"] * 3
    plain = run_cli("config", **SECRETS)
    assert plain.returncode == 0 and "JIAOHAO_LET_GO" in plain.stdout
    assert "hidden" not in plain.stdout and "abab" not in plain.stdout


def test_an_environment_with_which_no_server_would_start_is_named() -> None:
    assert run_cli("config", "--check", **SECRETS).returncode == 0
    done = run_cli("config", "--check", **(SECRETS | {"JIAOHAO_CONNECTIONS": "few"}))
    assert done.returncode == 1 and "JIAOHAO_CONNECTIONS" in done.stderr
