"""An application at Guangzhou's first day, with residents of Tianhe who may register, and a few who may not."""

from collections.abc import AsyncIterator
from datetime import date

import pytest

from tests.support.people import COMPLETE, OF_BAIYUN, PEOPLE, TOO_SOON
from tests.support.serving import BAIYUN, House, enrol, keep_sites, open_house, person


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """One worker on 19 June 2021, 07:00. Residents 0 to 59 of Tianhe are eligible."""
    async with open_house(store_url) as it:
        await enrol(it.store, [person(i) for i in range(PEOPLE)])
        await enrol(it.store, [TOO_SOON], dose=date(2021, 5, 15))
        await enrol(it.store, [OF_BAIYUN], district=BAIYUN)
        await enrol(it.store, [COMPLETE], product="adenovirus")
        await keep_sites(it.store)
        yield it


@pytest.fixture
async def second_house(store_url: str, house: House) -> AsyncIterator[House]:
    """Another worker (or machine) on the same store, with the same secrets."""
    async with open_house(store_url) as it:
        yield it
