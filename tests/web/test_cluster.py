"""The whole life of a registration over HTTP, on a real three-node cluster: no script or pipeline crosses a slot."""

import hashlib
import hmac
import re
from datetime import date

from tests.support.model import permutation
from tests.support.phones import Phones
from tests.support.results import rfc_path, rfc_root
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


async def test_a_draw_of_the_second_version_on_a_cluster(cluster_url: str) -> None:
    """Join, close, root, numbers, proof: each worked out again by the contract; some have left, one comes later."""
    async with open_house(cluster_url) as house:
        await enrol(house.store, [person(i) for i in range(70)])
        await house.at("08:00:10")
        tickets = [await house.join(person(i)) for i in range(67)]
        assert (await house.call("DELETE", "/ticket", bearer=tickets[5]["ticket"])).status_code == 204
        await house.at("08:02:01")
        draw = (await house.get(f"/openings/{TIANHE}"))["draw"]
        assert (draw["version"], draw["entries"]) == (2, 67)
        assert hashlib.sha256(bytes.fromhex(draw["seed"])).hexdigest() == draw["commitment"]
        blinds = (await house.call("GET", f"/openings/{TIANHE}/draw/leaves")).content
        leaves = [entry.to_bytes(8, "big") + blinds[16 * entry :][:16] for entry in range(67)]
        assert len(blinds) == 67 * 16 and rfc_root(leaves).hex() == draw["root"]
        bound = f"jiaohao draw 2\n{TIANHE}:2021-06-19\n".encode() + bytes.fromhex(draw["root"])
        assert hmac.new(bytes.fromhex(draw["seed"]), bound, hashlib.sha256).hexdigest() == draw["key"]
        p = permutation(bytes.fromhex(draw["key"]), 67)
        await house.forward(1)
        for place in tickets[:5] + tickets[6:]:
            told = await house.get("/ticket", bearer=place["ticket"])
            assert told["number"] == 1 + p(place["entry"])
            proof = await house.get("/ticket/proof", bearer=place["ticket"])
            assert (proof["entry"], proof["root"]) == (place["entry"], draw["root"])
            assert bytes.fromhex(proof["blind"]) == leaves[place["entry"]][8:]
            assert proof["path"] == [node.hex() for node in rfc_path(place["entry"], leaves)]
        later = await house.join(person(67))
        assert (later["entry"], later["number"]) == (67, 68)
        refused(await house.call("GET", "/ticket/proof", bearer=later["ticket"]), "not-found", 404)
