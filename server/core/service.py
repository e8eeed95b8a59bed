"""Who runs the service, and whom to ask: the city file's table `[service]`."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from server.core.values import Text
from server.core.windows import Window

Hotline = Annotated[str, msgspec.Meta(pattern=r"\A\+?[0-9][0-9 -]{2,19}\Z")]
HttpsUrl = Annotated[str, msgspec.Meta(pattern=r"\Ahttps://[^\s\"'<>]{4,300}\Z")]


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a resident must agree to, by itself, before details of their health are used.

    So says the Personal Information Protection Law (articles 14 and 29). The registration keeps the ``version`` that
    its holder was shown: another text, another version.
    """

    version: Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z._-]{1,20}\Z")]
    text_zh: Text
    text_en: Text


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a resident must be able to find on every page before they give their papers.

    ``run_by_zh``, ``run_by_en``: the body that answers for it. ``hotline``: a telephone number, as it is dialled.
    ``hotline_hours``: when somebody answers; None: by day and by night. ``privacy_url``: where the whole privacy notice
    stands; None: what the pages say themselves of what is kept and for how long is all there is.
    ``consent``: None where none is asked for.
    """

    run_by_zh: Text
    run_by_en: Text
    hotline: Hotline
    hotline_hours: Window | None = None
    privacy_url: HttpsUrl | None = None
    consent: Consent | None = None


def problems_of_service(service: Service) -> Iterator[str]:
    """What the types alone cannot say, each as "key: expected ..."."""
    hours = service.hotline_hours
    if hours and hours.opens >= hours.closes:
        yield "service.hotline_hours: expected opens before closes, or no such line where somebody always answers"
