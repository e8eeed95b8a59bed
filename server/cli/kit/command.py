"""`jiaohao kit`."""

import hashlib
from pathlib import Path

import click
import msgspec

from server.cli.kit.answers import SECRETS, Answers, Host, Passwords, kept_secrets
from server.cli.kit.files import PARTS, KitFile, PartName, kit_files
from server.cli.options import city_option
from server.core.city import SHIPPED_CITY, load_city
from server.core.errors import SetupError
from server.core.files import write_whole

_SERVER_PORT, _STORE_PORT = 8000, 6379
_FEWEST_WITH_SENTINELS = 3


@click.command("kit")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--domain", default="vaccine.example", show_default=True, help="The name that residents know.")
@click.option("--host", "hosts", multiple=True, default=["10.0.0.11", "10.0.0.12"], show_default=True,
              metavar="HOST[:PORT]", help="A machine that serves; several times for several.")  # fmt: skip
@click.option("--store", "stores", multiple=True, default=["10.0.0.21", "10.0.0.22", "10.0.0.23"], show_default=True,
              metavar="HOST[:PORT]", help="A machine of the store: one, or three and more with Sentinels.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), default=4, show_default=True, help="On each machine that serves.")
@click.option("--memory", default="4gb", show_default=True, help="Of each store: `jiaohao plan` says how much.")
@click.option("--program", default="/opt/jiaohao/bin/jiaohao", show_default=True, help="Where it is installed there.")
@click.option("--certificate", type=click.Path(path_type=Path), default=Path("/etc/ssl/jiaohao.pem"),
              show_default=True, help="PEM file with the chain and its key, where the proxy is.")  # fmt: skip
@click.option("--image", default="jiaohao:latest", show_default=True, help="Of the containers.")
@click.option(
    "--only", "parts", multiple=True, type=click.Choice(PARTS), help="Only this part; several times for several."
)
@click.option("--dry-run", is_flag=True, help="Print what would be written; make no secrets.")
@click.option("--force", is_flag=True, help="Overwrite what was changed by hand.")
@city_option
def command(
    folder: Path, domain: str, hosts: tuple[str, ...], stores: tuple[str, ...], workers: int, memory: str,
    program: str, certificate: Path, image: str, parts: tuple[PartName, ...], dry_run: bool, force: bool,
    city_file: Path | None,
) -> None:  # fmt: skip
    """Write what a deployment needs into FOLDER: units, store, proxies, monitoring, containers.

    \b
      jiaohao kit deploy --domain vaccine.gz.example --city city.toml \\
        --host 10.0.0.11 --host 10.0.0.12 --store 10.0.0.21 --store 10.0.0.22 --store 10.0.0.23

    The README.md that it writes says what goes where. Secrets are made once and kept in FOLDER/secrets.json (mode
    600); run it again after a change, and only what follows from that changes. A file that somebody has changed by
    hand is named, and then nothing is written, unless with --force.
    """
    answers = Answers(
        city=load_city(city_file),
        city_text=(city_file or SHIPPED_CITY).read_text(encoding="utf-8"),
        domain=domain,
        hosts=_hosts(hosts, "--host", _SERVER_PORT),
        stores=_hosts(stores, "--store", _STORE_PORT),
        workers=workers,
        memory=memory,
        program=program,
        certificate=certificate,
        image=image,
    )
    if 1 < len(answers.stores) < _FEWEST_WITH_SENTINELS:
        raise SetupError("--store: one, or three and more: of two, neither can tell whether the other one is gone")
    password = Passwords(kept_secrets(folder), makes=not dry_run)
    made = list(kit_files(answers, password, parts or PARTS))
    if dry_run:
        for file in made:
            click.echo(f"==> {folder / file.path}{' (mode 600)' if file.is_secret else ''}\n{file.text}")
        return
    written = _write(folder, made, password, is_forced=force)
    click.echo(f"{len(made)} files in {folder}, {written} of them new or changed; begin with {folder / 'README.md'}")


def _hosts(texts: tuple[str, ...], option: str, usual_port: int) -> tuple[Host, ...]:
    try:
        found = tuple(Host.of(text, usual_port) for text in texts)
    except SetupError as error:
        raise SetupError(f"{option}: {error}") from None
    if len(set(found)) < len(found):
        raise SetupError(f"{option}: one of them is named twice")
    return found


def _write(folder: Path, made: list[KitFile], password: Passwords, *, is_forced: bool) -> int:
    """How many files were new or changed.

    Raises:
        SetupError: some were changed by hand since they were written; then none is touched.
    """
    register = folder / ".written.json"
    before = _register(register)
    changed = [file for file in made if _is_of_hand(folder / file.path, before.get(file.path), file.text)]
    if changed and not is_forced:
        names = ", ".join(file.path for file in changed)
        raise SetupError(f"changed by hand since they were written: {names}; take them away, or say --force")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / SECRETS, msgspec.json.encode(password.kept), 0o600)
    written = 0
    for file in made:
        path, text = folder / file.path, file.text.encode()
        if not path.exists() or path.read_bytes() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text, 0o600 if file.is_secret else 0o644)
            written += 1
    prints = before | {file.path: _print_of(file.text.encode()) for file in made}
    write_whole(register, msgspec.json.encode(prints), 0o644)
    return written


def _is_of_hand(path: Path, known: str | None, text: str) -> bool:
    """Whether a file is neither as it was written, nor as it will be."""
    if not path.exists():
        return False
    now = path.read_bytes()
    return now != text.encode() and _print_of(now) != known


def _register(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        raise SetupError(f"{file} is damaged: delete it; then every file counts as changed by hand") from None


def _print_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
