"""`jiaohao outbox`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

import click
import msgspec

from server.cli.options import city_option, store_options, store_settings
from server.core import logs
from server.core.city import City, load_city
from server.core.encryption import Cipher
from server.core.errors import SetupError
from server.core.keys import Pepper
from server.core.masks import mask_phone
from server.core.papers import check_phone, normalise_phone
from server.core.settings import Settings
from server.messages.delivery_receipts import DeliveryReceipts
from server.operations.interventions import Failed, Operations
from server.store.setup import city_clock, open_store

T = TypeVar("T")


@click.group("outbox", invoke_without_command=True)
@store_options
@city_option
@click.pass_context
def command(context: click.Context, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """Show what waits to be sent, and see to what could not be.

    \b
    Without a subcommand: messages by state in each district.
      codes    one-time codes that are to go now
      waiting  pointers to messages that are to go now, or when the quiet hours end
      later    to be looked at later: reminders, and what the gateway has not taken
      dead     dead letters, which are no longer tried
      oldest   since when the oldest of codes and waiting has been there

    \b
    When the provider was away:        jiaohao outbox dead         what was given up, and why
                                       jiaohao outbox resend --all send it after all
    When an SMS has reached nobody:    jiaohao outbox calls        whom to call
    When a phone wants no more of it:  jiaohao outbox stop         and `start` to send to it again

    The options stand before the subcommand: jiaohao outbox --redis-url URL dead.
    """
    logs.configure()
    context.obj = _Setup(redis_url, data_dir, load_city(city_file))
    if context.invoked_subcommand is None:
        for line in _on_store(context.obj, _states):
            click.echo(line)


@command.command("dead")
@click.pass_obj
def dead(setup: "_Setup") -> None:
    """List the dead letters: pointer, registration, kind, since when, how often tried, and why.

    `since` is when the event was that the message tells of. Names and phones are not shown.
    """
    lines = _on_store(setup, _dead)
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("no dead letters", err=True)


@command.command("resend")
@click.argument("pointers", nargs=-1, metavar="[POINTER]...")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.pass_obj
def resend(setup: "_Setup", pointers: tuple[str, ...], every: bool) -> None:
    """Put dead letters back into the outbox, to be tried anew.

    POINTER is the first column of `jiaohao outbox dead`. Senders (`jiaohao notify`) take them at once, but not in
    quiet hours. Stopped in between, run it again: nothing is sent twice by that.

    Exit code: 1 where a pointer is no dead letter; the others are put back.
    """
    if every == bool(pointers):
        raise click.UsageError("give pointers (see `jiaohao outbox dead`), or --all")
    done, unknown = _on_store(setup, lambda office: office.operations.resend_all(None if every else pointers))
    click.echo(f"{done} back in the outbox")
    if unknown:
        raise SetupError(f"no dead letter: {', '.join(unknown)}")


@command.command("calls")
@click.pass_obj
def calls(setup: "_Setup") -> None:
    """List whom to call, as an SMS that matters has not reached them.

    District, registration number, masked phone, and which messages these were: `undelivered` (the network says so),
    `refused` (the gateway would not take it) or `unsent` (a dead letter; or `too-late`: it was past when it could have
    been sent; or `opted-out`: the phone has asked for none). `undelivered (unknown)`: the provider does not know, or
    says so in words that nobody knows. The number and the whole phone are with the registration, on the operator's
    page; once they have been called, they are taken off the list there.
    """
    lines = _on_store(setup, _calls)
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("nobody is to be called", err=True)


_phone_option = click.option(
    "--phone", prompt="Phone", hide_input=True, help="Asked for, so that it stays out of the shell's history."
)


@command.command("stop")
@_phone_option
@click.pass_obj
def stop(setup: "_Setup", phone: str) -> None:
    """Send no more messages to a phone, as its holder asks; one-time codes still go.

    Who is to be told something by it is called instead (`jiaohao outbox calls`). It is what a reply with one of the
    city file's sms.stop_words does.
    """
    checked = _checked(phone)
    is_new = _on_store(setup, lambda office: office.receipts.stop(checked))
    click.echo("no more messages go there" if is_new else "it had been stopped before")


@command.command("start")
@_phone_option
@click.pass_obj
def start(setup: "_Setup", phone: str) -> None:
    """Send messages to a phone again."""
    checked = _checked(phone)
    was_stopped = _on_store(setup, lambda office: office.receipts.start(checked))
    click.echo("messages go there again" if was_stopped else "it had not been stopped")


def _checked(phone: str) -> str:
    plain = normalise_phone(phone)
    if check_phone(plain) is not None:
        raise SetupError("that is no phone as residents give it")
    return plain


class _Setup(msgspec.Struct, frozen=True):
    redis_url: str | None
    data_dir: Path
    city: City


class _Office(NamedTuple):
    """Services that the subcommands call."""

    city: City
    operations: Operations
    receipts: DeliveryReceipts


def _on_store(setup: _Setup, work: Callable[[_Office], Awaitable[T]]) -> T:
    with ExitStack() as stack:
        settings = store_settings(stack, setup.redis_url, setup.data_dir)
        return asyncio.run(_with_store(setup.city, settings, work))


async def _with_store(city: City, settings: Settings, work: Callable[[_Office], Awaitable[T]]) -> T:
    connection = await open_store(settings)
    try:
        clock = await city_clock(connection)
        operations = Operations(city, connection, Cipher(settings.secrets))
        return await work(_Office(city, operations, DeliveryReceipts(city, connection, clock, Pepper(settings.pepper))))
    finally:
        await connection.close()


async def _states(office: _Office) -> list[str]:
    rows: list[tuple[str, ...]] = [("district", "codes", "waiting", "later", "dead", "oldest")]
    for district, it, oldest_for_ms in await office.operations.backlogs():
        oldest = "-" if oldest_for_ms is None else _duration(oldest_for_ms)
        counts = (str(count) for count in (it.codes, it.waiting, it.later, it.dead))
        rows.append((f"{district.code} {district.name_en}", *counts, oldest))
    return list(_aligned(rows))


async def _dead(office: _Office) -> list[str]:
    letters = await office.operations.dead()
    rows: list[tuple[str, ...]] = [("pointer", "registration", "kind", "since", "tries", "why")] if letters else []
    for it in letters:
        rows.append((it.pointer, it.registration_no, it.kind, f"{it.at:%Y-%m-%d %H:%M}", str(it.tries), it.why))
    return list(_aligned(rows))


async def _calls(office: _Office) -> list[str]:
    places = [district.code for district in office.city.districts]
    found = sorted(await office.operations.calls(), key=lambda it: (places.index(it.district), it.registration_no))
    rows: list[tuple[str, ...]] = [("district", "registration", "phone", "not reached by")] if found else []
    for it in found:
        rows.append(
            (it.district, it.registration_no, mask_phone(it.phone or ""), ", ".join(map(_missed, it.failed)) or "-")
        )
    return list(_aligned(rows))


def _missed(it: Failed) -> str:
    return f"{it.kind} {it.outcome}" + (f" ({it.why})" if it.why else "")


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns under their heads; the last one as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _duration(ms: int) -> str:
    minutes = ms // 60_000
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
