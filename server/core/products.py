"""The vaccines of a city, and what a file may say of them."""

from collections.abc import Iterator, Mapping

import msgspec

from server.core.values import Positive, Text


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vaccine. ``min_interval_days`` (first to second dose) None: never a second-dose applicant."""

    name_zh: Text
    name_en: Text
    doses: Positive
    min_interval_days: Positive | None = None


def problems_of_products(products: Mapping[str, Product]) -> Iterator[str]:
    """What a city's products must not be, each as "products.NAME.key: expected ..."."""
    for name, product in products.items():
        if (product.doses > 1) != (product.min_interval_days is not None):
            expected = "a number of days" if product.doses > 1 else "none"
            yield f"products.{name}.min_interval_days: expected {expected}, as doses is {product.doses}"
