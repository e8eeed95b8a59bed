"""The pages as files: what a first visit costs, what a second one saves, and what a browser is told to refuse."""

import base64
import gzip
import hashlib
import re
import struct
from pathlib import Path
from urllib.robotparser import RobotFileParser

import pytest

from server.core.wording import languages
from server.web import assets
from server.web.scripts import joined
from tests.support.serving import House

GZIP = {"accept-encoding": "gzip, deflate, br"}
PLAIN = {"accept-encoding": "identity"}
FIRST_VISIT_BYTES = 60_000
# Read by browsers that cannot run the page; the others have its lines in the page.
OLD = "/old.js"
# What checks a number and the public record for its reader; it comes once there is something to check.
CHECKS, CHECKS_BYTES = "/verify.js", 6_000


async def wire_bytes(house: House, path: str, language: str = "zh-CN") -> int:
    """What the body of an answer weighs on the wire, to a browser."""
    async with house.client.stream("GET", path, headers={**GZIP, "accept-language": language}) as answer:
        assert answer.status_code == 200, path
        return sum([len(part) async for part in answer.aiter_raw()])


@pytest.mark.parametrize("language", languages())
async def test_a_first_visit_is_light_even_with_the_whole_journey(house: House, language: str) -> None:
    others = ("/staff", "/assist", "/ops")
    modules = [asset.path for asset in assets.load() if asset.path.endswith(".js")]
    modules = [path for path in modules if not path.startswith(others) and path not in (CHECKS, OLD)]
    modules.append(f"/words/{language}.json")
    usable = [await wire_bytes(house, path, language) for path in ("/", "/app.js", "/api/v1/city")]
    assert "/app.js" in modules and len(modules) > 3
    assert sum(usable) <= FIRST_VISIT_BYTES / 2
    assert sum(usable[::2]) + sum([await wire_bytes(house, path) for path in modules]) <= FIRST_VISIT_BYTES
    assert 0 < await wire_bytes(house, CHECKS) <= CHECKS_BYTES


async def test_the_page_asks_for_its_script_and_nothing_else(house: House) -> None:
    page = (await house.client.get("/")).text
    # The rest is inside: the style, and the icon as data. A link with href to a page is no request.
    assert re.findall(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="([^"]*)"', page.replace('src=""', "")) == [
        next(it for it in re.findall(r'href="(data:image/svg[^"]*)"', page)),
        "/manifest.webmanifest",  # once all is there, by browsers that offer to install it
        "/icon-180.png",  # by a phone that installs it
        OLD,
        "/app.js",
    ]
    assert page.count(f'<script nomodule src="{OLD}">') == 1
    assert 'import "' not in (await house.client.get("/app.js")).text
    assert 'from "' not in (await house.client.get("/app.js")).text


@pytest.mark.parametrize("path", ["/", "/app.js", "/style.css"])
async def test_compressed_and_plain_are_the_same_file(house: House, path: str) -> None:
    packed = await house.client.get(path, headers=GZIP)
    plain = await house.client.get(path, headers=PLAIN)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    for answer in (packed, plain):
        assert "accept-encoding" in answer.headers["vary"].lower()
        assert int(answer.headers["content-length"]) < 60_000


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
async def test_each_file_says_once_what_it_is(house: House, path: str, kind: str) -> None:
    answer = await house.client.get(path)
    assert answer.headers.get_list("content-type") == [kind]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("headers", [GZIP, PLAIN])
async def test_a_second_visit_costs_no_body(house: House, headers: dict[str, str]) -> None:
    first = await house.client.get("/", headers=headers)
    tag = first.headers["etag"]
    assert re.fullmatch('"[^"]+"', tag)
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await house.client.get("/", headers={**headers, "if-none-match": named})
        assert (again.status_code, again.content) == (304, b""), named
        assert again.headers["etag"] == tag
        assert again.headers["vary"] == first.headers["vary"]
    changed = await house.client.get("/", headers={**headers, "if-none-match": '"other"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, tag)


async def test_inline_style_is_allowed_by_its_hash_alone(house: House) -> None:
    answer = await house.client.get("/")
    policy = answer.headers["content-security-policy"]
    [style] = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    [code] = re.findall("<script>(.*?)</script>", answer.text, re.DOTALL)
    style_hash, code_hash = (base64.b64encode(hashlib.sha256(it.encode()).digest()).decode() for it in (style, code))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert f"'sha256-{style_hash}'" in rules["style-src"]
    assert rules["script-src"] == f"'self' 'sha256-{code_hash}'"
    assert rules["manifest-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    staff = (await house.client.get("/staff")).headers["content-security-policy"]
    assert "script-src 'self';" in staff
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    rest = answer.text.replace(f"<script>{code}", "")
    rest = rest.replace('<script type="application/json"', "")  # data, which no browser runs
    assert not re.search(r"<[^>]+\son\w+=|<[^>]+\sstyle=|<script(?![^>]*\ssrc=)", rest), "inline code or style"


async def test_no_page_may_use_the_device_but_the_desk_its_camera(house: House) -> None:
    resident = (await house.client.get("/")).headers["permissions-policy"]
    assert "camera=()" in resident and "microphone=()" in resident
    assert "camera=(self)" in assets.security_headers(camera=True)["permissions-policy"]


async def test_without_javascript_one_is_led_to_the_plain_pages(house: House) -> None:
    page = (await house.client.get("/")).text
    assert re.search(r'<noscript><meta http-equiv="refresh" content="0; url=/plain"></noscript>', page)
    assert page.count('href="/plain"') >= 2


@pytest.mark.parametrize(
    ("language", "name"), [("zh-CN", "疫苗接种预约登记"), ("zh-HK", "疫苗接種預約登記"), ("en", None)]
)
async def test_a_phone_can_keep_the_page_among_its_applications(house: House, language: str, name: str | None) -> None:
    answer = await house.client.get("/manifest.webmanifest", headers={"accept-language": language})
    told = answer.json()
    assert answer.headers["content-type"] == "application/manifest+json"
    assert told["name"] == (name or "Vaccine registration") and told["lang"] == answer.headers["content-language"]
    assert told["short_name"] and told["start_url"] == told["scope"] == told["id"] == "/"
    assert (told["display"], told["dir"]) == ("standalone", "ltr")
    page = (await house.client.get("/", headers={"accept-language": language})).text
    apple = re.findall(r'<link rel="apple-touch-icon" href="([^"]+)">', page)
    assert {it["purpose"] for it in told["icons"]} == {"any", "maskable"} and len(apple) == 1
    for src, sizes in [*((it["src"], it["sizes"]) for it in told["icons"]), (apple[0], "180x180")]:
        image = await house.client.get(src)
        assert image.status_code == 200 and len(image.content) < 9_000
        if sizes != "any":  # a PNG's width and height stand in its first chunk (RFC 2083, 4.1.1)
            assert image.content[:8] == b"\x89PNG\r\n\x1a\n" and image.headers["content-type"] == "image/png"
            assert "{}x{}".format(*struct.unpack(">II", image.content[16:24])) == sizes
    described = re.findall(r'<meta name="description" content="([^"]{20,200})">', page)
    assert described == [told["description"]]
    assert len(re.findall(r'<meta name="theme-color" content="#[0-9a-f]{6}" media="', page)) == 2


async def test_searchers_are_told_what_there_is_to_find(house: House) -> None:
    answer = await house.client.get("/robots.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    robots = RobotFileParser()
    robots.parse(answer.text.splitlines())
    assert all(robots.can_fetch("x", path) for path in ("/", "/plain", "/plain/data", "/app.js"))
    private = ("/api/v1/city", "/staff", "/ops", "/plain/ticket", "/plain/440106", "/metrics", "/schema")
    assert not any(robots.can_fetch("x", path) for path in private)


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [
        ("", False), ("gzip", True), ("GZIP", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False),
        ("gzip;q=0.0", False), ("*", True), ("*;q=0", False), ("br", False),
        ("identity, *;q=0.1", True), ("gzip; q=0, *", False),
    ],
)  # fmt: skip
def test_gzip_goes_only_to_who_takes_it(accepts: str, packed: bool) -> None:
    assert assets.takes_gzip(accepts) is packed


def test_the_same_files_give_the_same_bytes() -> None:
    # Workers and machines serve the same tags, so that a browser may ask any of them again.
    assert [(it.path, it.packed, it.tag) for it in assets.load()] == [
        (it.path, it.packed, it.tag) for it in assets.load()
    ]
    assert all(gzip.decompress(it.packed) == it.plain for it in assets.load())


def test_a_script_goes_out_with_its_pieces_each_once_and_before_whoever_needs_it(tmp_path: Path) -> None:
    files = {
        "page.js": '// The page.\nimport { a, b } from "./own/two.js";\nimport { kept } from "./other.js";\n'
        'import * as box from "./box.js";\nexport { a } from "./own/one.js";\nexport const c = a + b + kept;\n',
        "own/one.js": '// One.\nimport { more } from "../other.js";\nexport let a = more;\n',
        "own/two.js": '// Two.\nimport {\n  a,\n} from "./one.js";\nimport { c } from "../page.js";\n'
        "export function b() { return c; }\nexport { a };\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert joined(tmp_path / "page.js") == (
        'import { kept, more } from "./other.js";\nimport * as box from "./box.js";\n'
        "// One.\nlet a = more;\n// Two.\nfunction b() { return c; }\n"
        "// The page.\nexport { a };\nexport const c = a + b + kept;\n"
    )


def names_of(script: str) -> list[str]:
    """What a script declares for itself, and what it has from another one: JavaScript bears each name once."""
    imported = re.findall(r"^import \{([^}]*)\} from", script, re.MULTILINE)
    names = [name.strip().rpartition(" ")[2] for names in imported for name in names.split(",")]
    declared = r"^(?:export )?(?:(?:async )?function\*? ?|class |(?:const|let) )(\w+)"
    return [*filter(None, names), *re.findall(declared, script, re.MULTILINE)]


def test_no_two_pieces_of_a_script_have_a_name_in_common() -> None:
    assert names_of("import { a, ask } from './app.js';\nasync function ask() {}\nconst b = 1;") == [
        "a",
        "ask",
        "ask",
        "b",
    ]
    for path, content in {it.path: it.plain.decode("utf-8", "replace") for it in assets.load()}.items():
        if path.endswith(".js"):
            names = names_of(content)
            assert {name for name in names if names.count(name) > 1} == set(), path


def test_no_two_elements_of_a_page_are_called_the_same() -> None:
    pages = [it for it in assets.load() if it.headers["content-type"].startswith("text/html")]
    assert len(pages) >= 3
    for page in pages:
        ids = re.findall(r'\sid="([^"]+)"', page.plain.decode())
        assert len(ids) > 20 and {it for it in ids if ids.count(it) > 1} == set(), page.path


def test_the_desk_keeps_every_file_that_it_needs_without_a_network() -> None:
    """The service worker's list is what the page and its scripts ask for, and each of them is there."""
    sent = {asset.path: asset.plain.decode("utf-8", "replace") for asset in assets.load()}
    listed = re.search(r"const FILES = \[(.*?)\]", sent["/staff-worker.js"], re.DOTALL)
    assert listed is not None
    kept = set(re.findall(r'"([^"]+)"', listed[1]))
    needed, waiting = set[str](), {"/staff"}
    while waiting:
        path = waiting.pop()
        needed.add(path)
        asked = re.findall(r'(?:from |import\()"\.(/[\w-]+\.js)"', sent[path])
        asked += re.findall(r'<(?:script|link)[^>]*(?:src|href)="(/[\w.-]+)"', sent[path])
        waiting |= set(asked) - needed
    assert kept - {"/icon.svg"} == needed
    # Those that are asked for at once are named in the page, so that none waits for another.
    at_once = {path for path in re.findall(r'from "\.(/[\w-]+\.js)"', sent["/staff.js"])}
    assert at_once == set(re.findall(r'modulepreload" href="([^"]+)"', sent["/staff"]))


def test_scripts_go_out_without_the_lines_that_are_for_who_reads_them() -> None:
    for asset in assets.load():
        if asset.path.endswith(".js"):
            assert not re.search(rb"^\s*//", asset.plain, re.MULTILINE), asset.path
            assert b"https://" not in asset.plain


def test_no_two_elements_of_a_page_have_one_id() -> None:
    for asset in (it for it in assets.load() if it.headers["content-type"].startswith("text/html")):
        found = re.findall(r'\bid="([\w-]+)"', asset.plain.decode())
        assert [it for it in set(found) if found.count(it) > 1] == [], asset.path
