"""`python -m tests.broken up ...`: as `python -m server up ...`, with the fault that BROKEN names."""

from typing import Any

import granian

from server.cli import main
from tests.broken.faults import break_scripts, chosen

_honest = granian.Granian


def _with_our_app(target: str, *args: Any, **kwargs: Any) -> Any:
    assert target == "server.web.app:create_app", target
    return _honest("tests.broken.app:create_app", *args, **kwargs)


if __name__ == "__main__":
    break_scripts(chosen())
    granian.Granian = _with_our_app  # type: ignore[assignment]
    main()
