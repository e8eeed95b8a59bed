"""`python -m tests.broken up ...`: as `python -m server.cli up ...`, with the fault that BROKEN names."""

from typing import Any

from granian.server.mp import MPServer

from server.cli import main
from tests.broken.faults import break_scripts, chosen

_honest = MPServer.__init__


def _with_our_app(self: MPServer, target: str, *args: Any, **kwargs: Any) -> None:
    assert target == "server.web.app:create_app", target
    _honest(self, "tests.broken.app:create_app", *args, **kwargs)


if __name__ == "__main__":
    break_scripts(chosen())
    MPServer.__init__ = _with_our_app  # type: ignore[method-assign, assignment]
    main()
