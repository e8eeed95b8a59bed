"""The files of a kit: which there are, where they stand, and how each is made."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import jinja2

from server.cli.fronts import Front, FrontName, configuration
from server.cli.kit.answers import Answers, Passwords, sentinel_port, store_url
from server.cli.kit.dashboard import dashboard
from server.operations.acl import users

PartName = Literal["servers", "store", "front", "monitoring", "containers", "kubernetes", "shop"]
PARTS: Final[tuple[PartName, ...]] = get_args(PartName)

_ETC: Final = "servers/etc"
_UNITS: Final = f"{_ETC}/systemd/system/jiaohao"


class KitFile(NamedTuple):
    """A file of the kit; `is_secret`: it is written for its owner's eyes only."""

    path: str
    text: str
    is_secret: bool = False


def kit_files(answers: Answers, password: Passwords, parts: tuple[PartName, ...] = PARTS) -> Iterator[KitFile]:
    """All files of these parts, for these answers."""
    made = _Templates(answers, password)
    for part in parts:
        yield from _MAKERS[part](answers, made)
    yield KitFile("README.md", made("README.md", parts=parts))


class _Templates:
    """Fills in templates; a place that is not known is an error, and not left empty."""

    def __init__(self, answers: Answers, password: Passwords) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FunctionLoader(_template),
            undefined=jinja2.StrictUndefined,
            variable_start_string="<<",
            variable_end_string=">>",
            block_start_string="<%",
            block_end_string="%>",
            comment_start_string="<#",
            comment_end_string="#>",
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701  (configuration files, no markup)
        )
        due = answers.night_due
        self._environment.globals.update(
            answers=answers,
            domain=answers.domain,
            issuer=answers.city.log_name,
            hosts=answers.hosts,
            stores=answers.stores,
            replicas=answers.replicas,
            quorum=answers.quorum,
            workers=answers.workers,
            memory=answers.memory,
            program=answers.program,
            image=answers.image,
            timezone=answers.city.timezone,
            purge_at="02:30",
            night_due_seconds=int(due.total_seconds()),
            users=users(),
            password=password,
            hashed=password.hashed,
            store_url=lambda user: store_url(answers, password, user),
            sentinel_port=sentinel_port,
        )

    def __call__(self, name: str, **more: Any) -> str:
        return self._environment.get_template(f"{name}.in").render(**more)


def _template(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


_Maker: TypeAlias = Callable[[Answers, _Templates], Iterator[KitFile]]


def _servers(answers: Answers, made: _Templates) -> Iterator[KitFile]:
    yield KitFile(f"{_ETC}/jiaohao/jiaohao.env", made("jiaohao.env"), is_secret=True)
    by_name = {user.name: user for user in users()}
    for name in ("import", "keeper", "doctor", "backup"):
        user = by_name[f"jiaohao-{name}"]
        yield KitFile(f"{_ETC}/jiaohao/{name}.env", made("user.env", user=user.name, what=user.what), is_secret=True)
    yield KitFile(f"{_ETC}/jiaohao/city.toml", answers.city_text)
    yield KitFile(f"{_ETC}/sysusers.d/jiaohao.conf", made("sysusers.conf"))
    yield KitFile(f"{_ETC}/logrotate.d/jiaohao", made("logrotate"))
    for unit in ("serve.service", "notify.service"):
        yield KitFile(f"{_UNITS}-{unit}", made(unit))
    for timed in ("night", "purge", "backup"):
        for unit in (f"{timed}.service", f"{timed}.timer"):
            yield KitFile(f"{_UNITS}-{unit}", made(unit))
    for host in answers.hosts:
        yield KitFile(f"hosts/{host.address}/etc/jiaohao/host.env", made("host.env", host=host))


def _store(answers: Answers, made: _Templates) -> Iterator[KitFile]:
    for store in answers.stores:
        folder = f"stores/{store.address}-{store.port}/etc/valkey"
        yield KitFile(f"{folder}/valkey.conf", made("valkey.conf", store=store), is_secret=True)
        yield KitFile(f"{folder}/users.acl", made("users.acl"), is_secret=True)
        if answers.replicas:
            yield KitFile(f"{folder}/sentinel.conf", made("sentinel.conf", store=store), is_secret=True)


def _front(answers: Answers, _: _Templates) -> Iterator[KitFile]:
    workers = tuple(f"http://{host}" for host in answers.hosts)
    names: tuple[tuple[FrontName, str], ...] = (("nginx", "nginx.conf"), ("haproxy", "haproxy.cfg"))
    for name, file in names:
        front = Front("0.0.0.0:443", workers, Path("/var/cache/jiaohao"), answers.certificate, 512, 16_384)
        yield KitFile(f"front/{file}", configuration(name, front))


def _monitoring(_: Answers, made: _Templates) -> Iterator[KitFile]:
    yield KitFile("monitoring/prometheus.yml", made("prometheus.yml"))
    yield KitFile("monitoring/alerts.yml", made("alerts.yml"))
    yield KitFile("monitoring/grafana.json", dashboard())


def _containers(_: Answers, made: _Templates) -> Iterator[KitFile]:
    yield KitFile("containers/Containerfile", made("Containerfile"))
    yield KitFile("containers/compose.yml", made("compose.yml"), is_secret=True)


def _kubernetes(answers: Answers, made: _Templates) -> Iterator[KitFile]:
    yield KitFile("kubernetes/jiaohao.yml", made("kubernetes.yml", city_lines=answers.city_text.splitlines()))
    yield KitFile("kubernetes/secrets.yml", made("kubernetes_secrets.yml"), is_secret=True)


def _shop(_: Answers, made: _Templates) -> Iterator[KitFile]:
    yield KitFile("shop/shop.conf", made("shop.conf"))
    yield KitFile("shop/check_pass.py", made("check_pass.py"))


_MAKERS: Final[dict[PartName, _Maker]] = {
    "servers": _servers,
    "store": _store,
    "front": _front,
    "monitoring": _monitoring,
    "containers": _containers,
    "kubernetes": _kubernetes,
    "shop": _shop,
}
