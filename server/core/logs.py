"""One JSON line an event, to standard error; never a name, a number of papers or a phone."""

import logging
import sys

import structlog


def configure() -> None:
    """Set up logging for this process."""
    pretty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Only the kind and place of an unexpected error: its words may quote what somebody typed.
            _where_only,
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Asked for at each event: standard error may have been replaced since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _where_only(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if event.pop("exc_info", None):
        trace = sys.exc_info()[2]
        frames = []
        while trace is not None:
            frames.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}")
            trace = trace.tb_next
        event["where"] = " < ".join(reversed(frames[-6:]))
    return event
