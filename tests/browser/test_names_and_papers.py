"""Papers on the page as people type them (cases P2 to P5): let in, or told beside the field what is wrong."""

import msgspec
from playwright.sync_api import expect

from tests.support.browser import Visits, look
from tests.support.serving import Up
from tests.support.steps import choose, demo, fill_papers


def test_lost_and_unknown_letters_are_told_beside_the_name_and_another_dot_and_15_digits_let_in(
    morning: Up, visit: Visits
) -> None:
    who = demo(11)
    page = visit(morning).open()
    choose(page)
    for name, told in (
        (who.name[0] + "？", "请填写完整姓名"),
        (who.name[0] + "\ue000", "自造字"),
        ("12", "证件上的姓名"),
    ):
        fill_papers(page, msgspec.structs.replace(who, name=name))
        page.click("#go")
        expect(page.locator("#join")).to_contain_text(told)
        assert page.get_attribute("#name", "aria-invalid") == "true"
    look(page, "papers-lost-letters")
    # Its 18 characters without the century and the check character: the number of before 1999.
    old = who.id_number[:6] + who.id_number[8:17]
    fill_papers(page, msgspec.structs.replace(who, id_number=old, name=f"{who.name[0]}。{who.name[1:]}"))
    page.click("#go")
    expect(page.locator("#queue, #ready").locator("visible=true").first).to_be_visible()
