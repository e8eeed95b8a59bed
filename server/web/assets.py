"""The pages: hand-written files, read, put together and compressed once at the start."""

import base64
import gzip
import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from server.core.languages import Language
from server.web.scripts import joined, without_comments
from server.web.worded import worded_page, worded_script

PAGES = Path(__file__).parent / "pages"
_TYPES = {
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
# Nothing from anywhere else, and no inline code; inline style only where its hash is named.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The desk scans with its camera; no other page needs anything of the device.
_PERMISSIONS = "camera=({camera}), microphone=(), geolocation=(), payment=(), usb=()"
_WITH_CAMERA = "staff"
_CACHE = "public, max-age=60"
_STYLE = re.compile(r'<link rel="stylesheet" href="/([a-z-]+\.css)">')
_ICON = '<link rel="icon" href="/icon.svg">'
_HTML = '<html lang="zh-CN">'


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


def security_headers(*styles: str, camera: bool = False) -> dict[str, str]:
    """Headers of a page of ours, this module's or one that is rendered elsewhere.

    Args:
        styles: texts of the page's `<style>` elements; /style.css may always be linked.
        camera: whether the page may ask for the camera.
    """
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in styles]
    return {
        "content-security-policy": _POLICY.format(styles=" ".join(["'self'", *hashes])),
        "permissions-policy": _PERMISSIONS.format(camera="self" if camera else ""),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
    }


def load(folder: Path = PAGES, default_language: Language = "zh") -> list[Asset]:
    """Every file of the folder, ready to be sent: `index.html` at `/`, `staff.html` at `/staff`, `x.js` at `/x.js`.

    Pages get their styles, icon and words put in, and scripts their words and their pieces, so that a first visit asks
    for three things only: the page, its script, and the city. Pages are told the city's
    `default_language`.
    """
    return [_asset(file, default_language) for file in sorted(folder.iterdir()) if file.suffix in _TYPES]


def _asset(file: Path, default_language: Language) -> Asset:
    text = file.read_text(encoding="utf-8")
    path, styles = f"/{file.name}", list[str]()
    if file.suffix == ".html":
        path = "/" if file.stem == "index" else f"/{file.stem}"
        styles = [(file.parent / name).read_text(encoding="utf-8") for name in _STYLE.findall(text)]
        text = _STYLE.sub(lambda it: f"<style>{(file.parent / it[1]).read_text(encoding='utf-8')}</style>", text)
        icon = base64.b64encode((file.parent / "icon.svg").read_bytes()).decode()
        text = text.replace(_HTML, f'{_HTML[:-1]} data-language="{default_language}">')
        text = worded_page(text).replace(_ICON, f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">')
    elif file.suffix == ".js":
        text = without_comments(worded_script(joined(file)))
    plain = text.encode()
    headers = {
        **security_headers(*styles, camera=file.stem == _WITH_CAMERA),
        "cache-control": _CACHE,
        "vary": "accept-encoding",
        "content-type": _TYPES[file.suffix],
    }
    # mtime: the same content gives the same bytes in every worker and after every restart.
    packed = gzip.compress(plain, 9, mtime=0)
    return Asset(path, plain, packed, headers, hashlib.sha256(plain).hexdigest()[:20])


def handlers() -> list[ControllerRouterHandler]:
    """A route for each file."""
    return [_handler(zh, en) for zh, en in zip(load(), load(default_language="en"), strict=True)]


def _handler(zh: Asset, en: Asset) -> ControllerRouterHandler:
    @get(zh.path, include_in_schema=False, name=zh.path)
    async def page(request: Request[Any, Any, State]) -> Response[bytes]:
        asset = en if request.app.state.services.city.default_language == "en" else zh
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
