"""How those wait whose page is closed and whose phone sleeps: called by SMS, or by chance."""

from __future__ import annotations

from collections import defaultdict

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Answer
from loadtests.crowd.crowd import Crowd
from loadtests.resident.acts import Act
from loadtests.resident.residents import Residents

_SALT, _SMS_SALT = 21, 22
_SOONEST_SECONDS = (0.5, 1.5)


def is_asleep(crowd: Crowd, i: int) -> bool:
    """Return whether resident `i` of a crowd closes the page once they have a place."""
    return bool(crowd.profile.asleep.share) and _is_of(crowd, i, _SALT, crowd.profile.asleep.share)


def _is_of(crowd: Crowd, i: int, salt: int, share: float) -> bool:
    return (crowd.stir(i, salt) & 0xFFFF) / 0x10000 < share


class Sleeping:
    """This plays the waiting of residents who do not look at the page.

    Who has themselves called looks at it after each message, and never otherwise, so that a message that does not come
    is a call that is missed.
    """

    def __init__(self, residents: Residents, requests: Requests) -> None:
        self._residents, self._requests = residents, requests
        self._crowd, self._habits = residents.crowd, residents.crowd.profile.asleep
        self._asked: dict[int, int] = {}  # resident -> entry
        self._told: set[int] = set()
        self._by_phone: dict[str, list[int]] = defaultdict(list)
        haste = residents.pace.haste
        low, high = self._habits.looks_every
        self._glance = low * haste, high * haste
        low, high = (
            max(min(soonest, seconds), seconds * haste)
            for soonest, seconds in zip(_SOONEST_SECONDS, self._habits.wakes_within, strict=True)
        )
        self._wake = low, high

    def is_asleep(self, i: int) -> bool:
        """Return whether resident `i` closes the page once they have a place."""
        return is_asleep(self._crowd, i)

    def waits(self, i: int, now_us: int) -> None:
        """Resident `i` was told that they wait, and closes the page."""
        entry = self._residents.observations.entry[i]
        if _is_of(self._crowd, i, _SMS_SALT, self._habits.asks_for_sms) and self._asked.get(i) != entry:
            self._residents.later(i, Act.ASK_ALERTS, now_us, _SOONEST_SECONDS)
        elif i not in self._told:
            self._residents.later(i, Act.POLL, now_us, self._glance)

    def request(self, i: int) -> bytes | None:
        """Return the bytes of the wish to be called by SMS."""
        observations = self._residents.observations
        ticket = observations.ticket[i]
        if ticket is None:
            return None
        if i not in self._asked:
            self._by_phone[self._crowd.resident(i).phone].append(i)
        self._asked[i] = observations.entry[i]
        return self._requests.send("POST", "/ticket/alerts", b'{"sms": true}', ticket)

    def asked(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        """Take in whether resident `i` is called by SMS; who is not looks by chance."""
        given = answers.decode_alerts(answer.body)
        if given.sms:
            self._told.add(i)
            self._residents.meters.count("called by SMS", now_us)
        elif given.why == "called":  # the page says so, and is open still
            self._residents.file(now_us, i, Act.POLL)
        else:
            self._told.discard(i)
            self._residents.later(i, Act.POLL, now_us, self._glance)

    def rings(self, phone: str, now_us: int) -> None:
        """A message has come to a phone: whoever waits on it opens the page."""
        for i in self._by_phone.get(phone, ()):
            self._residents.later(i, Act.POLL, now_us, self._wake)
