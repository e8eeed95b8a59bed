"""Why a request is refused, in the contract's codes; `server.web.problems` turns these into HTTP."""

from typing import Any


class Refusal(Exception):
    """A refused request; nothing has been changed.

    Args:
        code: one of the contract's codes (`not-open`, `forged`, ...).
        retry_after_seconds: when to come again, for 425, 429 and 503.
        extras: the code's further fields (`opens_at`, `eligible_from`, ...), JSON-encodable.
    """

    def __init__(self, code: str, *, retry_after_seconds: int | None = None, **extras: Any) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.extras = extras


class Invalid(Refusal):
    """Fields that are not what they should be.

    Args:
        fields: (name of the field, slug of what is wrong with it).
    """

    def __init__(self, *fields: tuple[str, str]) -> None:
        super().__init__("invalid")
        self.fields = fields


class PapersRefused(Refusal):
    """Refused for a name or phone that is wrong, or was not looked at as too many had been. All of these are answered
    at one pace (`server.registry.guesses`), whether or not the person is known."""


class StoreUnavailable(Refusal):
    """The store did not answer, or refused to write. Safe to try again: every call is idempotent."""

    def __init__(self) -> None:
        super().__init__("store-unavailable", retry_after_seconds=2)


class NotUnderstood(StoreUnavailable):
    """The store has answered, and with something that nobody knows. Of one thing among many it says nothing of the
    others."""


class UnknownStatus(NotUnderstood):
    """A script has answered with a status that nobody knows: whether it did its work is not known either.

    Args:
        script: its name.
    """

    def __init__(self, script: str) -> None:
        super().__init__()
        self.script = script


class BrokenRecord(NotUnderstood):
    """Something in the store is not what any version has written: nobody acts on it.

    Args:
        record: what it is of (`registration`, `registry`, ...).
        field: which field is broken, or is missing; never what stands in it.
    """

    def __init__(self, record: str, field: str) -> None:
        super().__init__()
        self.record = record
        self.field = field


class Overloaded(Refusal):
    """More work is waiting than can be done in time; said at once instead of growing a backlog."""

    def __init__(self) -> None:
        super().__init__("overloaded", retry_after_seconds=3)


class MessageRefused(Exception):
    """A message that will never be taken, however often it is sent.

    Args:
        why: the gateway's status, or what no gateway could carry; never the phone or the text.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"refused: {why}")
        self.why = why


class NotHandedOver(TimeoutError):
    """A message that the gateway has given back without having offered it to anybody: that was no try."""


class SetupError(Exception):
    """Something about this set-up is wrong; the message says what, and the cure, in one line."""
