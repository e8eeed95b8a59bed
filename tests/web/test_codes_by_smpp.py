"""A one-time code goes out over SMPP, through the outbox, to an SMSC that somebody else wrote."""

import asyncio
import re
from pathlib import Path

from server.messages.smpp import Receipt, SmppGateway, SmppSettings
from tests.support.serving import House, person
from tests.support.smsc import PASSWORD, Orders, need_smsc, smsc


async def noted(_receipt: Receipt) -> None:
    """Nobody waits for these receipts."""


async def test_codes_reach_the_phones_and_a_number_that_is_refused_holds_up_nobody(
    house: House, tmp_path: Path
) -> None:
    need_smsc()
    await house.at("09:00:00")
    await house.store.open_outbox([district.code for district in house.services.city.districts])
    people = [person(i) for i in range(4)]
    for who in people:
        await house.registered(who)
        papers = {k: v for k, v in who.papers().items() if k != "name"}
        assert (await house.call("POST", "/access-codes", json=papers)).status_code == 202
    await house.services.access.settled()
    no_such_number = 0x0000000B  # ESME_RINVDSTADR
    orders = Orders(journal=str(tmp_path / "journal"), statuses={"86" + people[1].phone: no_such_number})
    with smsc(orders) as running:
        settings = SmppSettings(
            host="127.0.0.1", port=running.orders.port, tls=False, system_id="jiaohao", password=PASSWORD
        )
        async with SmppGateway(settings, noted) as gateway:
            async with asyncio.timeout(20):
                while not gateway.ready:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await house.services.sender.send_codes(gateway, "test") == 3
            assert await house.services.sender.send_codes(gateway, "test") == 0, "nothing is sent twice"
        taken = running.taken()
    assert sorted(line.to for line in taken) == sorted("86" + people[i].phone for i in (0, 2, 3))
    by_phone = {line.to: line.text for line in taken}
    code = re.search(r"\d{6}", by_phone["86" + people[0].phone])
    assert code is not None
    papers = {k: v for k, v in people[0].papers().items() if k != "name"}
    found = await house.call("POST", "/access-tokens", json=papers | {"code": code[0]})
    assert found.status_code == 201
