"""What a person does on the resident's page, step by step."""

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from server.core.city import load_city
from server.operations.demo import demo_resident
from tests.support.serving import API, TIANHE, Person, Up, operator_token, run_cli, until

# Leaves no byte of the device's storage.
FILL = """() => {
    for (let size = 2 ** 22; size >= 1; size /= 2) {
        for (let n = 0; ; n += 1) {
            try { localStorage.setItem(`other:${size}:${n}`, "x".repeat(size)); } catch { break; }
        }
    }
}"""
_POSITIONS = {district.code: i for i, district in enumerate(load_city().districts, 1)}


def demo(index: int, district: str = TIANHE) -> Person:
    """A demo resident of a district; the last three of twenty have appointments."""
    number, name, phone = demo_resident(load_city(), _POSITIONS[district], index)
    return Person(number, name, phone)


def choose(page: Page, district: str = TIANHE) -> None:
    """From the list to an opening."""
    page.locator(f"#districts a[href='#{district}']").click()
    expect(page.locator("#opening")).to_be_visible()


def fill_papers(page: Page, who: Person) -> None:
    """The form of the opening."""
    page.select_option("#id_type", who.id_type)
    page.fill("#id_number", who.id_number)
    page.fill("#name", who.name)
    page.fill("#phone", who.phone)


def join(page: Page, who: Person, district: str = TIANHE) -> None:
    """From the list to a place."""
    choose(page, district)
    fill_papers(page, who)
    page.click("#go")


def come_in(page: Page) -> None:
    """Once called: to the wishes."""
    expect(page.locator("#ready")).to_be_visible()
    page.click("#claim")
    expect(page.locator("#wishes")).to_be_visible()


def register(page: Page) -> str:
    """Wish for any site; the registration number."""
    page.check("[name=accept_any_site]")
    page.click("#submit")
    return number_of(page)


def number_of(page: Page) -> str:
    """The registration number on the receipt."""
    expect(page.locator("#receipt")).to_be_visible()
    expect(page.locator("#facts div").first).to_be_visible()
    no = re.sub(r"\s", "", page.locator("#no").inner_text())
    assert re.fullmatch(r"\d{15}", no), no
    return no


def code_from(server: Up, phone: str) -> str:
    """The last one-time code that was sent to a phone."""
    file = server.data_dir / "sms.jsonl"

    def last() -> str | None:
        found = [re.search(r"(?:验证码|Code )(\d{6})", text) for text in _messages(file, phone)]
        codes = [each[1] for each in found if each]
        return codes[-1] if codes else None

    return str(until(last, "the SMS"))


def _messages(file: Path, phone: str) -> list[str]:
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [line["text"] for line in lines if line["phone"] == phone]


def find_by_code(page: Page, server: Up, who: Person) -> None:
    """From anywhere to the receipt, by SMS."""
    page.goto(f"{server.url}/#find")
    page.fill("#find-id_number", who.id_number)
    page.fill("#find-phone", who.phone)
    page.click("#send-code")
    expect(page.locator("#enter")).to_be_visible()
    page.fill("#code", code_from(server, who.phone))
    page.click("#open-it")


def agree(page: Page) -> None:
    """Say yes in the dialog."""
    expect(page.locator("#ask")).to_be_visible()
    page.click("#ask-yes")


def adjust(server: Up, **changes: Any) -> None:
    """The operator's hand on Tianhe's opening."""
    path = f"{API}/openings/{TIANHE}"
    answer = server.call("PATCH", path, bearer=operator_token(server.data_dir), json=changes)
    assert answer.status_code == 200, answer.text


def staff_token(server: Up, site: str, role: str = "manager") -> str:
    """A token of a site's staff, as the command line gives it."""
    done = run_cli("token", "staff", site, "--role", role, "--data-dir", str(server.data_dir))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def roster(server: Up, site: str, token: str) -> dict[str, dict[str, str]]:
    """Today's roster of a site as the server has it, by the time of day of its (two) entries."""
    answer = server.call("GET", f"{API}/sites/{site}/roster", bearer=token)
    assert answer.status_code == 200, answer.text
    return {entry["period"]: entry for entry in answer.json()["entries"]}


def stored(page: Page) -> str:
    """All that the device keeps of the page."""
    return str(
        page.evaluate(
            """async () => {
                const kept = [localStorage, sessionStorage].map((it) => JSON.stringify(it));
                kept.push(location.href, document.cookie);
                for (const name of await caches.keys()) {
                    const cache = await caches.open(name);
                    for (const request of await cache.keys()) {
                        kept.push(request.url, await (await cache.match(request)).text());
                    }
                }
                return kept.join("\\n");
            }"""
        )
    )


def sideways(page: Page) -> list[str]:
    """What does not fit into the window's width: nobody should have to scroll to the side (WCAG 1.4.10)."""
    return list(
        page.evaluate(
            """() => {
                const root = document.documentElement;
                const wide = [...document.querySelectorAll("body *")]
                    .filter((it) => it.checkVisibility() && !it.closest(".unseen"))
                    .map((it) => [it, it.getBoundingClientRect()])
                    .filter(([, box]) => box.right > root.clientWidth + 1 || box.left < -1)
                    .map(([it]) => it.outerHTML.slice(0, 80));
                return root.scrollWidth > innerWidth ? ["the page", ...wide] : wide;
            }"""
        )
    )
