"""The whole life of a registration over HTTP, on a real three-node cluster: no script or pipeline crosses a slot."""

import re
from datetime import date

from tests.support.phones import Phones
from tests.support.serving import TIANHE, enrol, keep_sites, open_house, person, refused

MONDAY = date(2021, 6, 21)


async def test_a_resident_and_a_desk_on_a_cluster(cluster_url: str) -> None:
    async with open_house(cluster_url) as house:
        await enrol(house.store, [person(i) for i in range(12)])
        await keep_sites(house.store)
        await house.store.open_outbox([district.code for district in house.services.city.districts])
        await house.at("09:00:00")
        asked = await house.call("POST", f"/openings/{TIANHE}/eligibility", json=person(0).papers())
        assert asked.json()["eligible"] is True

        done = [await house.booked(person(i), MONDAY, "T1", "am" if i % 2 else "pm") for i in range(10)]
        waiting = await house.registered(person(10))
        path = f"/registrations/{waiting['registration_no']}"
        wishes = {"preferences": [{"site": "T2", "period": "am"}], "accept_any_site": False}
        assert (await house.call("PATCH", path, bearer=waiting["receipt"], json=wishes)).status_code == 200

        who = {k: v for k, v in person(10).papers().items() if k != "name"}
        assert (await house.call("POST", "/access-codes", json=who)).status_code == 202
        await house.services.access.settled()
        phones = Phones()
        assert await house.services.sender.send_codes(phones, "test") == 1
        code = re.search(r"\d{6}", phones.messages[0][1])
        assert code is not None
        found = await house.call("POST", "/access-tokens", json=who | {"code": code[0]})
        assert found.json()["registration_no"] == waiting["registration_no"]
        receipt = found.json()["receipt"]
        assert (await house.call("POST", f"{path}/cancellation", bearer=receipt)).json()["state"] == "cancelled"
        first = f"/registrations/{done[0]['registration_no']}/cancellation"
        assert (await house.call("POST", first, bearer=done[0]["receipt"])).json()["state"] == "cancelled"

        await house.at("09:00:00", MONDAY)
        staff = house.staff("T1")
        roster = (await house.call("GET", "/sites/T1/roster", bearer=staff)).json()
        assert len(roster["entries"]) == 9
        seen = {"registration_no": done[1]["registration_no"], "date": "2021-06-21"}
        assert (await house.call("POST", "/attendances", bearer=staff, json=seen)).json()["state"] == "fulfilled"
        closing = {"date": "2021-06-21", "reason": "停电"}
        closed = (await house.call("POST", "/sites/T1/closures", bearer=staff, json=closing)).json()
        assert closed["sent_back"] == 8
        await house.forward(61)
        assert await house.services.appointments.reconcile() == 0
        refused(await house.try_join(person(1)), "not-eligible", 403)
        kept = [await house.store.registration_fields(house.resident(person(i))) for i in range(11)]
        states = [fields["state"] for fields in kept]
        assert states == ["cancelled", "fulfilled", *["proposed"] * 8, "cancelled"]
