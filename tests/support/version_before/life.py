"""What is asked of a city whose store was left by an earlier version, and how its life goes on from there."""

import json
import re
from hashlib import sha256
from typing import Any

from tests.support.version_before.town import OPERATOR, Town, papers, people

LATER = 20
"""So many seconds later the earlier version was asked once more, to see what is not the same each time."""
_NIGHTS = [f"2021-06-{day}" for day in range(21, 27)]
_DATES = ("UID", "DTSTART", "DTEND", "STATUS")
_ANY = {"preferences": [], "accept_any_site": True}


def read(town: Town, known: dict[str, Any]) -> dict[str, Any]:
    """Everything that can be looked at, as it was left; nothing is changed by it."""
    found: dict[str, Any] = {}
    with town.serving():
        for one in known["registrations"]:
            name, path = f"{one['who']} {one['no']}", f"/registrations/{one['no']}"
            found[name] = town.ask("GET", path, one["receipt"])
            calendar = found[f"{name} calendar"] = town.ask("GET", f"{path}/appointment.ics", one["receipt"])
            if calendar["status"] == 200:  # its words may change
                calendar["body"] = [line for line in calendar["body"] if line.startswith(_DATES)]
        for who, ticket in known["tickets"].items():
            found[f"ticket of {who}"] = town.ask("GET", "/ticket", ticket)
        for district in ("east", "west"):
            found[f"opening {district}"] = town.ask("GET", f"/openings/{district}")
            found[f"sites {district}"] = town.ask("GET", f"/sites?district={district}")
            for day in _NIGHTS:
                path = f"/allotments/{district}/{day}"
                found[f"night {district} {day}"] = town.ask("GET", path)
                lines = town.ask("GET", f"{path}/file")["body"]
                found[f"result {district} {day}"] = sha256(json.dumps(lines).encode()).hexdigest()
        for site, token in known["staff"].items():
            found[f"staff of {site}"] = town.ask("GET", "/staff", token)
            for day in ("2021-06-23", "2021-06-27", "2021-06-28", "2021-06-29"):
                found[f"roster {site} {day}"] = town.ask("GET", f"/sites/{site}/roster?date={day}", token)
        found["operations"] = town.ask("GET", "/operations", OPERATOR)
        for what in ("calls", "bars", "dead", "attendances"):
            found[what] = town.ask("GET", f"/operations/{what}", OPERATOR)
    found["outbox"] = [line.split()[:6] for line in town.command("outbox")]  # and since when: it grows older
    found["outbox calls"] = town.command("outbox", "calls")
    (some,) = town.results.glob("2021-06-21/east.jsonl")
    found["verify"] = town.command("verify", "allotment", str(some))
    return found


def go_on(town: Town, known: dict[str, Any]) -> dict[str, Any]:
    """The rest of the day, the night, the next morning, and the end of what is kept."""
    done: dict[str, Any] = {}
    with town.serving():
        _messages(town, known, done)
        _openings(town, known, done)
        _registrations(town, known, done)
        _operators(town, known, done)
        town.set_clock("2021-06-27T20:30:00+08:00")
        done["the night"] = town.command("night")
        done["the night again"] = town.command("night")
        (result,) = town.results.glob("2021-06-27/east.jsonl")
        done["its result holds"] = town.command("verify", "allotment", str(result))
        town.set_clock("2021-06-28T08:31:00+08:00")
        done["messages of the night"] = town.sent_to_a_file()
        for one in known["registrations"]:
            done[f"{one['who']} {one['no']} in the morning"] = _brief(town, one)
        done["the opening of the next day"] = town.register("uma")["no"]
        town.set_clock("2021-07-15T08:31:00+08:00")
        done["night after a pause"] = town.command("night")
        done["purge"] = town.command("purge", "--by-day")
        for one in known["registrations"]:
            done[f"{one['who']} {one['no']} after the purge"] = _brief(town, one)
    return done


def _brief(town: Town, one: dict[str, str]) -> Any:
    answer = town.ask("GET", f"/registrations/{one['no']}", one["receipt"])
    if answer["status"] != 200:
        return [answer["status"], answer["body"]["code"]]
    return [answer["body"][name] for name in ("state", "appointment", "no_shows", "barred")]


def _messages(town: Town, known: dict[str, Any], done: dict[str, Any]) -> None:
    """What was owed is sent; a code that was asked for opens the door; a receipt of what was sent earlier is noted."""
    sent = done["messages that were owed"] = town.sent_to_a_file()
    codes = {it["phone"]: found[0] for it in sent if (found := re.findall(r"\b\d{6}\b|(?<=验证码)\d{6}", it["text"]))}
    for who in ("ann", "dan"):
        asked = papers(who)
        del asked["name"]
        answer = town.ask("POST", "/access-tokens", body=asked | {"code": codes[people()[who]["phone"]]})
        done[f"code of {who}"] = answer
    town.receipts(people()["kim"]["phone"], dict.fromkeys(known["ids"]["kim"], "DELIVRD"))
    done["kim's receipts"] = _by_who(town, known, "kim")["body"]["messages"]


def _by_who(town: Town, known: dict[str, Any], who: str) -> dict[str, Any]:
    one = _of(known, who)
    return town.ask("GET", f"/registrations/{one['no']}", one["receipt"])


def _of(known: dict[str, Any], who: str) -> dict[str, str]:
    """Somebody's latest registration."""
    return [one for one in known["registrations"] if one["who"] == who][-1]  # type: ignore[no-any-return]


def _openings(town: Town, known: dict[str, Any], done: dict[str, Any]) -> None:
    tickets, passes = known["tickets"], known["passes"]
    for who, district in (("wes", "east"), ("xia", "east"), ("yan", "east"), ("aki", "west")):
        done[f"{who} joins again"] = town.ask("POST", _tickets(district), "", papers(who))
    answer = done["yan claims again"] = town.ask("POST", "/passes", tickets["yan"])
    done["yan's pass is the same"] = answer["body"]["pass"] == passes["yan"]
    done["yan registers"] = town.ask("POST", "/registrations", passes["yan"], _ANY)
    answer = done["xia claims"] = town.ask("POST", "/passes", tickets["xia"])
    done["xia registers"] = town.ask("POST", "/registrations", answer["body"]["pass"], _ANY)
    done["sue registers again"] = town.ask("POST", "/registrations", passes["sue"], _ANY)
    done["wes may not claim yet"] = town.ask("POST", "/passes", tickets["wes"])
    done["wes leaves"] = town.ask("DELETE", "/ticket", tickets["wes"])
    done["tina joins again"] = town.ask("POST", _tickets("east"), "", papers("tina"))
    done["uma joins again"] = town.ask("POST", _tickets("east"), "", papers("uma"))
    done["the operator calls again"] = town.ask("PATCH", "/openings/east", OPERATOR, {"rate_per_second": 50})
    answer = done["mia registers"] = town.ask("POST", "/registrations", town.claim(tickets["mia"]), _ANY)
    done["bea is barred"] = town.ask("POST", _tickets("east"), "", papers("bea"))
    done["ann has been"] = town.ask("POST", _tickets("east"), "", papers("ann"))
    done["hal's right papers are not looked at"] = town.ask("POST", _tickets("east"), "", papers("hal"))
    done["cat joins again"] = town.ask("POST", _tickets("west"), "", papers("cat"))


def _tickets(district: str) -> str:
    return f"/openings/{district}/tickets"


def _registrations(town: Town, known: dict[str, Any], done: dict[str, Any]) -> None:
    def ask(what: str, who: str, method: str, path: str = "", body: Any = None) -> None:
        one = _of(known, who)
        done[what] = town.ask(method, f"/registrations/{one['no']}{path}", one["receipt"], body)

    ask("sue changes her wishes", "sue", "PATCH", body=_ANY | {"not_before": "2021-06-30"})
    ask("lou cancels", "lou", "POST", "/cancellation")
    ask("ned cancels what is booked", "ned", "POST", "/cancellation")
    ask("ann cannot cancel", "ann", "POST", "/cancellation")
    ask("kim cannot cancel any more", "kim", "POST", "/cancellation")
    seen = {"registration_no": _of(known, "kim")["no"], "date": "2021-06-27"}
    done["kim was here"] = town.ask("POST", "/attendances", known["staff"]["E1"], seen)
    done["kim was here, once more"] = town.ask("POST", "/attendances", known["staff"]["E1"], seen)


def _operators(town: Town, known: dict[str, Any], done: dict[str, Any]) -> None:
    why = {"reason": "看过了"}
    fay, bea, hal = (_of(known, who)["no"] for who in ("fay", "bea", "hal"))
    done["fay's dose is taken over"] = town.ask(
        "POST", f"/operations/attendances/{fay}/2021-06-27/acceptance", OPERATOR, why
    )
    done["bea's bar is lifted"] = town.ask("DELETE", f"/bars/{bea}", OPERATOR, why)
    town.called(town.join("bea"))
    done["hal was called"] = town.ask("DELETE", f"/operations/calls/{hal}", OPERATOR, why)
    done["dead letters are sent after all"] = town.command("outbox", "resend", "--all")
    done["messages of the day"] = town.sent_to_a_file()
    done["operators' lists"] = [
        town.ask("GET", f"/operations/{what}", OPERATOR) for what in ("calls", "bars", "dead", "attendances")
    ]
