"""The pages: hand-written files, read, put together and compressed once at the start."""

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from server.core.languages import language
from server.core.wording import SIMPLIFIED, languages, word
from server.web.scripts import joined, without_comments
from server.web.worded import manifest, page_in_two_languages, worded_page, worded_script, words_files

PAGES = Path(__file__).parent / "pages"
_TYPES = {
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
# Nothing from anywhere else; inline style and code only where its hash is named.
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data: blob:; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The desk scans with its camera; no other page needs anything of the device.
_PERMISSIONS = "camera=({camera}), microphone=(), geolocation=(), payment=(), usb=()"
_WITH_CAMERA = "staff"
_CACHE = "public, max-age=60"
_STYLE = re.compile(r'<link rel="stylesheet" href="/([a-z-]+\.css)">')
_OLD = '<script nomodule src="/old.js"></script>'
_ICON = '<link rel="icon" href="/icon.svg">'
_HTML = '<html lang="zh-CN">'
_FOR_RESIDENTS = "index.html"
_BY_LANGUAGE = "accept-language"


class Asset(NamedTuple):
    """A file as it goes out.

    Args:
        path: where it is served.
        plain: its content.
        packed: the same, gzip.
        headers: of every answer, without those that depend on the request.
        tag: of the content, without quotes.
    """

    path: str
    plain: bytes
    packed: bytes
    headers: dict[str, str]
    tag: str


def security_headers(*styles: str, script: str = "", camera: bool = False) -> dict[str, str]:
    """Headers of a page of ours, this module's or one that is rendered elsewhere.

    Args:
        styles: texts of the page's `<style>` elements; /style.css may always be linked.
        script: the text of its one `<script>` that has no address, if there is one.
        camera: whether the page may ask for the camera.
    """
    scripts = [script] if script else []
    return {
        "content-security-policy": _POLICY.format(styles=_sources(styles), scripts=_sources(scripts)),
        "permissions-policy": _PERMISSIONS.format(camera="self" if camera else ""),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
    }


def _sources(texts: Iterable[str]) -> str:
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]
    return " ".join(["'self'", *hashes])


def load(tag: str = SIMPLIFIED, folder: Path = PAGES) -> list[Asset]:
    """Every file of the folder, ready to be sent: `index.html` at `/`, `staff.html` at `/staff`, `x.js` at `/x.js`.

    Pages get their styles, icon and words put in, and scripts their words and their pieces, so that a first visit asks
    for three things only: the page, its script, and the city. The resident's page is in one language; what its later
    scripts say is in files of their own, of all languages.

    Args:
        tag: of the language; pages in two languages begin with it where it is one of them.
        folder: of the files.
    """
    return [*_pages(tag, folder), *_files(folder)]


def _pages(tag: str, folder: Path) -> list[Asset]:
    return [*(_page(it, tag) for it in sorted(folder.glob("*.html"))), _manifest(tag)]


def _files(folder: Path) -> list[Asset]:
    files = [it for it in sorted(folder.iterdir()) if it.suffix in _TYPES and it.suffix != ".html"]
    words = [_packed(path, text, ".json") for it in languages() for path, text in words_files(it).items()]
    return [*map(_file, files), *words]


def _page(file: Path, tag: str) -> Asset:
    text = file.read_text(encoding="utf-8")
    styles = [(file.parent / name).read_text(encoding="utf-8") for name in _STYLE.findall(text)]
    text = _STYLE.sub(lambda it: f"<style>{(file.parent / it[1]).read_text(encoding='utf-8')}</style>", text)
    icon = base64.b64encode((file.parent / "icon.svg").read_bytes()).decode()
    text = text.replace(_ICON, f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">')
    if file.name != _FOR_RESIDENTS:
        text = text.replace(_HTML, f'{_HTML[:-1]} data-language="{"en" if tag == "en" else "zh"}">')
        return _packed(f"/{file.stem}", page_in_two_languages(text), ".html", styles, camera=file.stem == _WITH_CAMERA)
    declared, direction = word("language.tag", tag), word("language.direction", tag)
    text = text.replace(_HTML, f'<html lang="{declared}" dir="{direction}" data-language="{tag}">')
    script = without_comments((file.parent / "old.js").read_text(encoding="utf-8"))
    text = text.replace(_OLD, f"<script>{script}</script>\n{_OLD}")
    return _in_one_language(_packed("/", worded_page(text, tag), ".html", styles, script), tag)


def _manifest(tag: str) -> Asset:
    return _in_one_language(_packed("/manifest.webmanifest", manifest(tag), ".webmanifest"), tag)


def _in_one_language(it: Asset, tag: str) -> Asset:
    it.headers.update({"vary": f"{_BY_LANGUAGE}, accept-encoding", "content-language": word("language.tag", tag)})
    return it


def _file(file: Path) -> Asset:
    if file.suffix == ".js":
        return _packed(f"/{file.name}", without_comments(worded_script(joined(file))), ".js")
    return _packed(f"/{file.name}", file.read_bytes(), file.suffix)


def _packed(
    path: str, content: str | bytes, suffix: str, styles: Iterable[str] = (), script: str = "", *, camera: bool = False
) -> Asset:
    plain = content.encode() if isinstance(content, str) else content
    headers = {
        **security_headers(*styles, script=script, camera=camera),
        "cache-control": _CACHE,
        "vary": "accept-encoding",
        "content-type": _TYPES[suffix],
    }
    # mtime: the same content gives the same bytes in every worker and after every restart.
    packed = gzip.compress(plain, 9, mtime=0)
    return Asset(path, plain, packed, headers, hashlib.sha256(plain).hexdigest()[:20])


def handlers() -> list[ControllerRouterHandler]:
    """A route for each file."""
    in_each = [_pages(tag, PAGES) for tag in languages()]
    pages = [_handler(dict(zip(languages(), variants, strict=True))) for variants in zip(*in_each, strict=True)]
    return [*pages, *(_handler(dict.fromkeys(languages(), it)) for it in _files(PAGES))]


def _handler(variants: dict[str, Asset]) -> ControllerRouterHandler:
    path = variants[SIMPLIFIED].path
    is_negotiated = _BY_LANGUAGE in variants[SIMPLIFIED].headers["vary"]

    @get(path, include_in_schema=False, name=path)
    async def page(request: Request[Any, Any, State]) -> Response[bytes]:
        default = request.app.state.services.city.default_language
        asks = request.headers.get("accept-language", "") if is_negotiated else ""
        asset = variants[language(asks, default)]
        packed = takes_gzip(request.headers.get("accept-encoding", ""))
        tag = f'"{asset.tag}{"-gzip" if packed else ""}"'
        headers = {**asset.headers, "etag": tag}
        if has_tag(request.headers.get("if-none-match", ""), tag):
            return Response(b"", status_code=304, headers=headers)
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(asset.packed if packed else asset.plain, headers=headers)

    return page


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110 12.5.3)."""
    weights: dict[str, str] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        weights[coding] = weight or "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != ""


def has_tag(if_none_match: str, tag: str) -> bool:
    """Whether an If-None-Match header names the tag, compared weakly (RFC 9110 13.1.2)."""
    named = [it.strip().removeprefix("W/") for it in if_none_match.split(",")]
    return tag in named or "*" in named
