"""A registration found again by a code, and taken off this browser."""

from typing import Any

from litestar import Response, get, post

from server.access.one_time_codes import Asked, Shown
from server.core.errors import Refusal
from server.core.languages import of_two
from server.core.sms import CODE_MINUTES
from server.web.plain.pages import go_to, page, trouble_of
from server.web.plain.queue import id_type_of
from server.web.plain.visit import HOME, REGISTRATION, PlainVisit, text_fields
from server.web.routes.common import AnyRequest


def _find_page(visit: PlainVisit, form: dict[str, str], **more: Any) -> Response[str]:
    return page(visit, "find", typed=text_fields(form, "id_type", "id_number", "phone"), **more)


def _code_page(visit: PlainVisit, form: dict[str, str], *, sent: bool, **more: Any) -> Response[str]:
    """Where the code is typed. Papers that have just been sent come along unseen; else they are asked for."""
    typed = text_fields(form, "id_type", "id_number", "phone")
    return page(visit, "code", typed=typed, sent=sent, minutes=CODE_MINUTES, sms_file=visit.services.sms_file, **more)


@get("/find")
async def ask_find(request: AnyRequest) -> Response[str]:
    """Who are you?"""
    return _find_page(PlainVisit(request), {})


@post("/find")
async def send_code(request: AnyRequest) -> Response[str]:
    """Send a code; the same answer whether or not the person is known."""
    visit = PlainVisit(request)
    form = await visit.form()
    try:
        fields = text_fields(form, "id_number", "phone")
        await visit.services.access.ask(Asked(id_type=id_type_of(form), **fields), of_two(visit.lang))
    except Refusal as refusal:
        trouble = trouble_of(visit, refusal)
        if refusal.code == "too-many-requests":  # a second tap: the code is on its way
            return _code_page(visit, form, sent=True, trouble=trouble)
        return _find_page(visit, form, trouble=trouble)
    return _code_page(visit, form, sent=True, status=202)


@get("/code")
async def ask_code(request: AnyRequest) -> Response[str]:
    """For whoever has a code and has lost the page it belongs to."""
    return _code_page(PlainVisit(request), {}, sent=False)


@post("/code")
async def show_code(request: AnyRequest) -> Response[str]:
    """A new receipt for the code."""
    visit = PlainVisit(request)
    form = await visit.form()
    try:
        fields = text_fields(form, "id_number", "phone", "code")
        found = await visit.services.access.show(Shown(id_type=id_type_of(form), **fields))
    except Refusal as refusal:
        trouble = trouble_of(visit, refusal)
        sent = form.get("sent") == "1" and not trouble.errors.keys() & {"id_type", "id_number", "phone"}
        return _code_page(visit, form, sent=sent, trouble=trouble)
    return go_to(REGISTRATION, visit.keep_receipt(found.registration_no, found.receipt))


@get("/data")
async def what_is_kept(request: AnyRequest) -> Response[str]:
    """What is kept of a resident, and for how long."""
    visit = PlainVisit(request)
    return page(visit, "data", kept_days=visit.services.city.policy.retention_days)


# Leaving no trace


@get("/forget")
async def ask_forget(request: AnyRequest) -> Response[str]:
    """Really?"""
    return page(PlainVisit(request), "forget")


@post("/forget")
async def forget(request: AnyRequest) -> Response[str]:
    """Take one registration, or everything, off this browser; all of it stays valid."""
    visit = PlainVisit(request)
    no = (await visit.form()).get("no")
    if no is not None:
        return go_to(HOME, visit.drop_receipt(visit.receipt(no).no))
    return go_to(HOME, *(visit.drop(name) for name in ("ticket", "pass", "receipts")))


HANDLERS = [ask_find, send_code, ask_code, show_code, what_is_kept, ask_forget, forget]
