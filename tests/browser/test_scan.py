"""The desk's own QR reader: it reads receipts as a hand holds them, and a wrong number never comes out."""

import io
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import segno
from playwright.sync_api import Browser, Page, Playwright, Route, expect
from stdnum.iso7064 import mod_11_10

from server.web.assets import PAGES
from tests.support.browser import CHROMIUM, Visit
from tests.support.serving import Up, until
from tests.support.steps import roster, staff_token

Condition = dict[str, float]
TURNS = range(0, 360, 15)
SITE = "440112-1"  # the other tests of the desk have the other districts
ORIGIN = "http://pictures.test"

# A picture of a code that is held somehow: turned, tilted (about an axis in its plane, seen from `distance` of its
# widths), out of focus, under uneven light, damaged. The same seed gives the same picture.
CAMERA = """(matrix, held) => {
    const { px, module, turn, tilt, axis, distance, blur, noise } = held;
    const { black, white, gradient, shadow, light_from, damage, clutter } = held;
    let state = held.seed * 7919 + 1;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    for (let i = 0; i < 9; i++) random();
    const n = matrix.length;
    const code = matrix.map((row) => [...row].map(Number));
    const data = [];  // the modules that are neither finder, timing nor format
    for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) {
        if (!((x < 9 && (y < 9 || y > n - 9)) || (x > n - 9 && y < 9) || x === 6 || y === 6)) data.push([x, y]);
    }
    for (let i = 0; i < damage; i++) {
        const [[x, y]] = data.splice(Math.floor(random() * data.length), 1);
        code[y][x] ^= 1;
    }
    const degrees = Math.PI / 180, far = distance * n * module;
    const tilted = ([x, y]) => {  // a vector of the code's plane in space
        const [ax, ay] = [Math.cos(axis * degrees), Math.sin(axis * degrees)];
        const along = ax * x + ay * y, c = Math.cos(tilt * degrees), s = Math.sin(tilt * degrees);
        return [x * c + ax * along * (1 - c), y * c + ay * along * (1 - c), (ax * y - ay * x) * s];
    };
    const e = tilted([Math.cos(turn * degrees), Math.sin(turn * degrees)]);
    const f = tilted([-Math.sin(turn * degrees), Math.cos(turn * degrees)]);
    const things = [...Array(clutter)].map(() => {
        const [left, top] = [(random() - 0.5) * px, (random() - 0.5) * px];
        return { left, top, right: left + 5 + random() * 40, bottom: top + 5 + random() * 40, shade: random() * 255 };
    });
    const colour = (x, y) => {
        const a = far * e[0] - x * e[2], b = far * f[0] - x * f[2];
        const c = far * e[1] - y * e[2], d = far * f[1] - y * f[2];
        const u = (x * far * d - b * y * far) / (a * d - b * c) / module + n / 2;
        const v = (a * y * far - c * x * far) / (a * d - b * c) / module + n / 2;
        if (u >= 0 && v >= 0 && u < n && v < n) return code[Math.floor(v)][Math.floor(u)] ? black : white;
        if (u >= -4 && v >= -4 && u < n + 4 && v < n + 4) return white;
        return things.find((it) => x > it.left && x < it.right && y > it.top && y < it.bottom)?.shade ?? 128;
    };
    let light = new Float64Array(px * px);
    for (let i = 0; i < light.length; i++) {
        const x = i % px - px / 2, y = Math.floor(i / px) - px / 2;
        let sum = 0;
        for (const s of [0.25, 0.75]) for (const t of [0.25, 0.75]) sum += colour(x + s, y + t) / 4;
        const away = (x * Math.cos(light_from * degrees) + y * Math.sin(light_from * degrees)) / px;
        light[i] = sum * (1 + 2 * gradient * away) * (away > 0.03 ? 1 - shadow : 1);
    }
    const reach = Math.ceil(3 * blur);
    for (const step of blur ? [1, px] : []) {
        const weights = [...Array(2 * reach + 1)].map((_, i) => Math.exp(-((i - reach) ** 2) / 2 / blur ** 2));
        const all = weights.reduce((a, b) => a + b), sharp = light;
        const near = (i, j) => sharp[i + (j - reach) * step] ?? 128;
        light = sharp.map((_, i) => weights.reduce((sum, weight, j) => sum + weight * near(i, j), 0) / all);
    }
    const image = new ImageData(px, px);
    light.forEach((it, i) => {
        const grain = noise && Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()) * noise;
        image.data.set([it + grain, it + grain, it + grain, 255], 4 * i);
    });
    return image;
}"""
HELD: Condition = dict(
    px=240, module=5, turn=0, tilt=0, axis=0, distance=3, blur=0, noise=3, black=30, white=220, gradient=0, shadow=0,
    light_from=0, damage=0, clutter=0, seed=1,
)  # fmt: skip


def number_of(seed: int) -> str:
    """A well-formed registration number; the check digit is stdnum's."""
    body = "".join(random.Random(seed).choices("0123456789", k=14))
    return str(body + mod_11_10.calc_check_digit(body))


def rows(code: segno.QRCode) -> list[str]:
    """Its modules, 1 where dark."""
    return ["".join(str(int(it)) for it in row) for row in code.matrix]


def receipt(number: str) -> list[str]:
    """The code as the receipt shows it."""
    return rows(segno.make_qr(number, error="m"))


@pytest.fixture
def read(browser: Browser) -> Iterator[Callable[[list[tuple[list[str], Condition]]], list[str | None]]]:
    """Reads pictures of codes with the page's module, in the browser."""
    page = browser.new_page()

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN + "/")
        body = (PAGES / name).read_text(encoding="utf-8") if name else "<!doctype html>"
        route.fulfill(body=body, content_type="text/javascript" if name else "text/html")

    page.route("**/*", serve)
    page.goto(ORIGIN)

    def run(pictures: list[tuple[list[str], Condition]]) -> list[str | None]:
        asked = [[matrix, HELD | {"seed": i + 1} | held] for i, (matrix, held) in enumerate(pictures)]
        found: list[str | None] = page.evaluate(
            f"async (asked) => {{ const {{ read }} = await import('/staff-qr.js'); const camera = {CAMERA};"
            "return asked.map((it) => read(camera(...it))); }",
            asked,
        )
        assert len(found) == len(pictures)
        return found

    yield run
    page.close()


CONDITIONS: dict[str, list[Condition]] = {
    "turned": [{"turn": turn} for turn in TURNS],
    "small": [{"module": module, "turn": turn} for module in (2, 3) for turn in range(7, 360, 60)],
    "filling the view": [{"module": 8, "turn": turn} for turn in (0, 5, 90, 184)],
    "held at 30 degrees": [{"tilt": 30, "axis": axis, "turn": 2 * axis + 9} for axis in range(0, 360, 24)],
    "held at 45 degrees": [{"tilt": 45, "axis": axis, "turn": 2 * axis + 9} for axis in range(0, 360, 24)],
    "out of focus by 0.4 modules": [{"blur": 2, "turn": turn} for turn in range(0, 360, 36)],
    "grainy": [{"noise": noise, "turn": turn} for noise in (15, 30) for turn in range(0, 360, 45)],
    "light from one side": [{"gradient": 0.8, "light_from": it, "turn": it + 20} for it in range(0, 360, 36)],
    "half in shadow": [{"shadow": 0.5, "light_from": it, "turn": it + 20} for it in range(0, 360, 36)],
    "dim screen": [{"black": 25, "white": 70, "turn": turn} for turn in range(0, 360, 60)],
    "eight modules damaged": [{"damage": 8, "turn": turn} for turn in range(0, 360, 30)],  # level H: 8 words of 26
    "cluttered desk": [{"clutter": 40, "module": 4, "turn": turn} for turn in range(0, 360, 60)],
    "a hand, an evening, an old camera": [
        dict(turn=37 * i, tilt=i % 30, axis=53 * i, module=4, blur=1.2, noise=10, gradient=0.4, light_from=i, damage=2)
        for i in range(12)
    ],
}


def test_receipts_are_read_as_a_hand_holds_them(read: Callable[..., list[str | None]]) -> None:
    numbers = [number_of(seed) for seed in range(8)]
    cases = [(name, held) for name, many in CONDITIONS.items() for held in many]
    wanted = [numbers[i % 8] for i in range(len(cases))]
    found = read([(receipt(number), held) for number, (_, held) in zip(wanted, cases, strict=True)])
    missed = [case for case, number, got in zip(cases, wanted, found, strict=True) if got != number]
    assert missed == []


def test_every_level_and_mask_is_read(read: Callable[..., list[str | None]]) -> None:
    number = number_of(99)
    codes = [
        segno.make_qr(number, error=level, boost_error=False, version=1, mask=mask)
        for level in "lmqh"
        for mask in range(8)
    ]
    assert {it.designator for it in codes} == {"1-L", "1-M", "1-Q", "1-H"}
    assert segno.make_qr(number, error="m").designator == "1-H", "what the receipt shows"
    assert read([(rows(it), {}) for it in codes]) == [number] * len(codes)
    # 7, 10, 13 and 17 words of parity put right 2, 4, 6 and 8.
    worst = [(rows(it), {"damage": {"L": 2, "M": 4, "Q": 6, "H": 8}[it.error]}) for it in codes]
    assert read(worst) == [number] * len(codes)


def test_what_is_no_receipt_gives_nothing(read: Callable[..., list[str | None]]) -> None:
    number = number_of(5)
    wrong = [number[:i] + str((int(number[i]) + 1) % 10) + number[i + 1 :] for i in range(15)]
    others = [
        *wrong, number[:-1], number + "0", number + "00", "0" * 14, "ABC", "https://example.org/",
        f"https://example.org/receipts/{number}", "A" + number, "中文", f"{number} ",
    ]  # fmt: skip
    pictures = [(rows(segno.make_qr(text, error="m")), dict[str, float]()) for text in others]
    mirrored = [line[::-1] for line in receipt(number)]
    half = [*receipt(number)[:10], *["0" * 21] * 11]
    pictures += [(mirrored, {}), (half, {}), ([], {}), ([], {"clutter": 200}), ([], {"noise": 60, "clutter": 99})]
    assert read(pictures) == [None] * len(pictures)


def test_a_number_is_right_or_not_read_at_all(read: Callable[..., list[str | None]]) -> None:
    chance = random.Random(20210619)
    numbers = [number_of(chance.randrange(10**6)) for _ in range(40)]
    pictures = []
    for i, number in enumerate(numbers):
        level = "lmqh"[i % 4]
        code = segno.make_qr(number, error=level, boost_error=False, version=1)
        held = {
            "damage": chance.randint(1, 16),
            "turn": chance.randrange(360),
            "noise": chance.randint(5, 60),
            "px": 130,
        }
        pictures.append((rows(code), held | {"module": 4, "blur": chance.choice([0, 0.5, 1, 2])}))
    found = read(pictures)
    assert [(got, number) for got, number in zip(found, numbers, strict=True) if got not in (None, number)] == []
    assert 8 < found.count(None) < 32, "neither easy nor hopeless"


# The real page with a real (fake) camera


def frame(code: list[str], module: float, turn: float, *, width: int = 320, height: int = 240, seed: int = 1) -> bytes:
    """A picture of a code on a table, lit from one side, a bit smaller to its right; nothing but the table without."""
    chance, picture = random.Random(seed), bytearray()
    grain = bytes(chance.randrange(12) for _ in range(4096))
    n = len(code)
    cos, sin = math.cos(math.radians(turn)) / module, math.sin(math.radians(turn)) / module
    for y in range(height):
        for x in range(width):
            a, b = x + 0.5 - width / 2, y + 0.5 - height / 2
            far = 1 + a / 1500
            u, v = (cos * a + sin * b) / far + n / 2, (cos * b - sin * a) / far + n / 2
            shade = 110
            if n and -4 <= u < n + 4 and -4 <= v < n + 4:
                shade = 40 if 0 <= u < n and 0 <= v < n and code[int(v)][int(u)] == "1" else 200
            picture.append(shade - 30 + 60 * x // width + grain[(x * 31 + y * 517) % 4096] - 6)
    return bytes(picture)


def film(file: Path, pictures: list[bytes], *, width: int = 320, height: int = 240) -> None:
    """Write a Y4M of five frames a second, without colour."""
    out = io.BytesIO()
    out.write(f"YUV4MPEG2 W{width} H{height} F5:1 Ip A1:1 C420\n".encode())
    for picture in pictures:
        out.write(b"FRAME\n" + picture + b"\x80" * (width * height // 2))
    file.write_bytes(out.getvalue())


@pytest.fixture
def desk(playwright: Playwright, morning: Up, tmp_path: Path) -> Iterator[tuple[Visit, str, str]]:
    """A desk whose camera sees nothing, then codes that are none of ours, then a receipt; the token and the number."""
    token = staff_token(morning, SITE, "desk")
    number = roster(morning, SITE, token)["pm"]["registration_no"]
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    seen = [frame([], 1, 0), frame(receipt(wrong), 5, 20), frame(rows(segno.make_qr("https://example.org/")), 4, 0)]
    film(tmp_path / "film.y4m", seen + [frame(receipt(number), 5, turn) for turn in (-25, 10, 160)])
    options = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}",
        "--disable-gpu",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
    here = Visit(chromium.new_context(locale="zh-CN"), morning.url, recorded=True)
    here.context.add_init_script("delete globalThis.BarcodeDetector")  # where this browser has one
    yield here, token, number
    here.check()
    chromium.close()


def loaded(page: Page) -> list[str]:
    """The files that the page itself asked for."""
    names: list[str] = page.evaluate("performance.getEntriesByType('resource').map((it) => new URL(it.name).pathname)")
    return names


def test_the_camera_opens_the_right_person_without_typing(desk: tuple[Visit, str, str], morning: Up) -> None:
    here, token, number = desk
    page = here.open(f"/staff#token={token}")
    expect(page.locator("li.entry")).to_have_count(2)
    expect(page.locator("#scan-why")).to_be_hidden()
    assert "/staff-qr.js" not in loaded(page), "only who scans pays for it"
    name = page.locator(f"#e{number} .who b").inner_text()
    page.evaluate(
        """() => {
            window.tracks = [];
            const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wish) => {
                const stream = await open(wish);
                window.tracks.push(...stream.getTracks());
                return stream;
            };
        }"""
    )
    page.click("#scan")
    expect(page.locator("#confirm")).to_be_visible()
    assert "/staff-qr.js" in loaded(page)
    expect(page.locator("#confirm-name")).to_have_text(name)
    expect(page.locator("#confirm-facts")).to_contain_text(f"{number[:5]} {number[5:10]} {number[10:]}")
    expect(page.locator("#camera")).to_be_hidden()
    assert page.evaluate(
        "tracks.length === 1 && tracks[0].readyState === 'ended' && !document.querySelector('video').srcObject"
    )
    expect(page.locator("#attended")).not_to_have_attribute("aria-disabled", "true")
    page.click("#attended")
    expect(page.locator(f"#e{number} .badge.fulfilled")).to_be_visible()
    sent = [json.loads(it.text)["registration_no"] for it in here.calls if it.path.endswith("/attendances")]
    assert sent == [number]

    page.click("#scan")  # and again: the camera stops when the person at the desk stops it
    until(lambda: page.evaluate("tracks.length === 2"), "the camera is on")
    page.keyboard.press("Escape")
    until(lambda: page.evaluate("tracks[1].readyState === 'ended'"), "the camera is off")
