"""Who runs the service and whom to ask, as pages and `GET /city` tell it."""

import msgspec

from server.core.city import City
from server.core.windows import Window


class WindowView(msgspec.Struct):
    """Daily hours, HH:MM."""

    opens: str
    closes: str


class ConsentView(msgspec.Struct):
    """What a resident is asked to agree to; a registration says the `version`."""

    version: str
    text: str


class ServiceView(msgspec.Struct):
    """Who runs it, and whom to call; `hotline_hours` None: at any hour.

    `retention_days` after all is done, what is personal is deleted.
    """

    run_by: str
    hotline: str
    hotline_hours: WindowView | None
    privacy_url: str | None
    retention_days: int
    consent: ConsentView | None


def window_view(window: Window) -> WindowView:
    """Hours as they are told."""
    return WindowView(f"{window.opens:%H:%M}", f"{window.closes:%H:%M}")


def service_view(city: City, lang: str) -> ServiceView | None:
    """Who runs it, in one language; None where the city file does not say."""
    it = city.service
    if it is None:
        return None
    asked = it.consent
    return ServiceView(
        run_by=it.run_by_zh if lang == "zh" else it.run_by_en,
        hotline=it.hotline,
        hotline_hours=window_view(it.hotline_hours) if it.hotline_hours else None,
        privacy_url=it.privacy_url,
        retention_days=city.policy.retention_days,
        consent=ConsentView(asked.version, asked.text_zh if lang == "zh" else asked.text_en) if asked else None,
    )
