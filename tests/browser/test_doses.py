"""A dose given without a network to somebody who has cancelled meanwhile: what desk and operator see and do.

Row D1 of the table of cases.
"""

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.support.browser import DESKTOP, Visits, look
from tests.support.desk_page import confirm, sign_in_at_the_desk, type_number
from tests.support.ops_page import sign_in_on_call, spaced
from tests.support.serving import Up, quick_city, store_client, up
from tests.support.steps import roster, staff_token

SITE, DISTRICT = "440117-1", "440117"


def cancelled_elsewhere(server: Up, no: str, *, site: str) -> None:
    """What the store has of a registration that was cancelled, whose appointment was at this site."""
    with store_client(server.data_dir) as client:
        (kept,) = [key for key in client.scan_iter("registration:*", 1000) if client.hget(key, "no") == no.encode()]
        client.hset(kept, mapping={"state": "cancelled", "site": site, "closed_ms": 1_624_060_000_000})
        client.delete(kept.replace(b"registration", b"stop"))
        day = f"{{{DISTRICT}:2021-06-19}}"
        line: Any = client.hget(f"roster:{day}", no)
        client.hset(f"vacated:{day}", no, line.replace(SITE.encode(), site.encode()))
        client.hdel(f"roster:{day}", no)


def test_a_dose_given_offline_is_kept_shown_and_counted(tmp_path: Path, visit: Visits) -> None:
    clock = ("--clock", "2021-06-19T08:00:00+08:00")
    with up(tmp_path / "data", "--city", str(quick_city(tmp_path)), *clock, "--workers", "1") as server:
        token = staff_token(server, SITE, "desk")
        entries = roster(server, SITE, token)
        reconciled, unmatched = entries["am"]["registration_no"], entries["pm"]["registration_no"]
        desk = visit(server, recorded=False)  # what is recorded goes past set_offline
        page = desk.open()
        answers: list[tuple[int, Any]] = []
        page.on("response", lambda it: answers.append((it.status, it.url)) if it.url.endswith("/attendances") else None)
        sign_in_at_the_desk(page, server, token)
        desk.context.set_offline(True)
        for no in (reconciled, unmatched):
            type_number(page, no)
            confirm(page)
            expect(page.locator(f"#e{no} .badge.queued")).to_be_visible()
        cancelled_elsewhere(server, reconciled, site=SITE)
        cancelled_elsewhere(server, unmatched, site="440117-2")  # nothing bears the desk out
        desk.context.set_offline(False)
        expect(page.locator("#outbox")).to_be_hidden()
        expect(page.locator("#last")).to_contain_text("由管理员核对")
        expect(page.locator("#refusals")).to_be_hidden()
        assert [status for status, _ in answers] == [200, 202]
        look(page, "desk-unmatched")

        ops = visit(server, viewport=DESKTOP).open()
        sign_in_on_call(ops, server)
        expect(ops.locator("#attendances-count")).to_have_text("2")
        ops.locator("#attendances summary").click()
        rows = ops.locator("#attendances-rows tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text(spaced(unmatched))
        expect(rows.first).to_contain_text("待核对")
        expect(rows.last).to_contain_text("已计入")
        look(ops, "ops-attendances")
        rows.first.get_by_role("button", name=f"计入 {spaced(unmatched)}").click()
        ops.fill("#why", "与接种点的纸质记录核对过")
        ops.click("#reason-go")
        expect(ops.locator("#polite")).to_contain_text("已计入")
        expect(ops.locator("#attendances-rows")).not_to_contain_text("待核对")
        for no in (reconciled, unmatched):
            ops.get_by_role("button", name=f"去掉 {spaced(no)}").click()
            ops.fill("#why", "已核对")
            ops.click("#reason-go")
            expect(ops.locator("#attendances-rows")).not_to_contain_text(spaced(no))
        expect(ops.locator("#attendances .none")).to_contain_text("没有要核对的接种")
        with store_client(server.data_dir) as client:
            for no in (reconciled, unmatched):
                (kept,) = [
                    key for key in client.scan_iter("registration:*", 1000) if client.hget(key, "no") == no.encode()
                ]
                assert client.hget(kept, "state") == b"fulfilled"
