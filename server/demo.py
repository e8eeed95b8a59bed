"""Demo residents and sites for `jiaohao up`: made up, with papers that pass the checks."""

from datetime import date, timedelta

import msgspec
from stdnum.iso7064 import mod_11_2

from server.city import City
from server.keys import Pepper
from server.settings import Settings
from server.sites import Site
from server.store import Store, connect
from server.store.store import FirstDoseRecord

RESIDENTS_PER_DISTRICT = 20
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"


def demo_resident(city: City, district: int, index: int) -> tuple[str, str, str]:
    """(ID number, name, phone) of a demo resident of the district with this position in the city file."""
    body = f"990000{1950 + index * 2}0101{district:02d}{index % 10}"
    return (
        body + mod_11_2.calc_check_digit(body),
        f"{_SURNAMES[index % len(_SURNAMES)]}演示",
        f"139{district:02d}{index:06d}",
    )


def _first_dose(city: City) -> tuple[date, str]:
    """A first dose that makes its resident eligible in every phase of the city."""
    product = next(name for name, p in city.products.items() if p.min_interval_days is not None)
    return min(phase.starts for phase in city.phases) - timedelta(days=60), product


async def add_demo(settings: Settings, city: City) -> None:
    """Write the demo registry and sites; again changes nothing."""
    pepper = Pepper(settings.pepper)
    day, product = _first_dose(city)
    records = []
    store = Store(await connect(settings.redis_url))
    try:
        for d, district in enumerate(city.districts, 1):
            for i in range(RESIDENTS_PER_DISTRICT):
                number, name, phone = demo_resident(city, d, i)
                resident = pepper.resident("resident_id", number)
                match = pepper.match(resident, name, phone)
                records.append((resident, FirstDoseRecord(day.toordinal(), product, district.code, match)))
            sites = [
                Site(f"{district.code}-{n}", f"{district.name_zh}演示接种点{n}", f"{district.name_en} demo site {n}",
                     district.code, f"{district.name_zh}演示路{n}号")
                for n in (1, 2, 3)
            ]  # fmt: skip
            await store.keep_sites(district.code, {site.site: msgspec.json.encode(site) for site in sites})
        await store.keep_first_doses(records)
    finally:
        await store.close()


def describe(city: City) -> str:
    """A line for the terminal: who one can be."""
    lines = ["demo residents (made up; resident ID · name · phone):"]
    for d, district in enumerate(city.districts, 1):
        number, name, phone = demo_resident(city, d, 0)
        lines.append(f"  {district.code} {district.name_en:<9} {number}  {name}  {phone}")
    lines.append(f"  (each district has {RESIDENTS_PER_DISTRICT}; `jiaohao up --no-demo` leaves them out)")
    return "\n".join(lines)
