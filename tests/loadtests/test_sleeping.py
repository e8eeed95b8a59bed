"""Residents whose phones sleep: woken by a message and by nothing else, and what the audit says of the messages."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.audit.call_messages import call_messages, called_by_sms
from loadtests.audit.seen import CallMessage
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.profile import Asleep
from loadtests.generator.phones import Phones
from loadtests.resident.acts import Act
from loadtests.run.clock import RunClock
from tests.support.honest_opening import World
from tests.support.scripted_server import Desk, place

WORDS = {"near": "{name}，{number}号预计{from}到{until}", "turn": "{name}，轮到您了（{number}号）。请在{until}前"}


def desk(**asleep: Any) -> Desk:
    """A crowd of which everybody sleeps."""
    return Desk(msgspec.structs.replace(load_profile(), asleep=Asleep(**{"share": 1.0, **asleep})))


def test_who_sleeps_asks_to_be_called_and_looks_after_a_message_and_never_else(tmp_path: Path) -> None:
    it = desk()
    i = it.someone()
    it.gets_a_place(i)
    assert it.upcoming() == [Act.ASK_ALERTS]
    assert it.sends(i, Act.ASK_ALERTS).startswith(b"POST /api/v1/ticket/alerts HTTP/1.1")
    it.hears(i, Act.ASK_ALERTS, 200, {"sms": True})
    assert it.upcoming() == []
    file = tmp_path / "sms.jsonl"
    phones = Phones(file, it.journey.queueing.sleeping, RunClock(0.0))
    assert phones.ring() == 0
    phone = it.journey.crowd.resident(i).phone
    lines = [
        json.dumps({"phone": it.journey.crowd.resident(i + 1).phone, "text": "x"}),
        json.dumps({"phone": phone, "text": "y"}),
    ]
    file.write_text("\n".join(lines), "utf-8")  # the second one is not written to its end
    assert phones.ring() == 1 and it.upcoming() == []
    file.write_text("\n".join([*lines, ""]), "utf-8")
    assert phones.ring() == 1 and it.upcoming() == [Act.POLL]
    it.hears(i, Act.POLL, 200, place(7, "waiting", after=60, number=3))
    assert it.upcoming() == [], "it was near, and not their turn yet"


def test_who_is_called_by_nobody_looks_by_chance_and_who_is_called_already_at_once() -> None:
    by_chance = desk(asks_for_sms=0.0)
    by_chance.gets_a_place(by_chance.someone())
    event = by_chance.next()
    assert event is not None and event[2] is Act.POLL and event[0] >= 300_000_000
    for why, soon in (("full", False), ("called", True)):
        it = desk()
        i = it.someone()
        it.gets_a_place(i)
        it.agenda.clear()
        it.sends(i, Act.ASK_ALERTS)
        it.hears(i, Act.ASK_ALERTS, 200, {"sms": False, "why": why})
        event = it.next()
        assert event is not None and event[2] is Act.POLL and (event[0] < 300_000_000) is soon


def test_messages_about_calls_are_told_from_others_by_the_citys_words(tmp_path: Path) -> None:
    file = tmp_path / "sms.jsonl"
    texts = [
        "【城】张*，轮到您了（12号）。请在08:29前",
        "【城】张*已登记，登记号1。",
        "【城】李*，9号预计08:20到08:23之间叫到",
    ]
    file.write_text("".join(json.dumps({"phone": "1", "text": text}) + "\n" for text in texts), "utf-8")
    assert [it.kind for it in call_messages(file, WORDS)] == ["turn", "near"]
    assert call_messages(tmp_path / "none", WORDS) == []


@pytest.mark.parametrize(
    ("messages", "ok"),
    [
        ([("turn", "1", "轮到1")], True),
        ([("turn", "1", "轮到1"), ("turn", "1", "轮到1")], False),
        ([("turn", "1", "轮到1"), ("turn", "2", "轮到2"), ("turn", "3", "轮到3")], False),
        ([(kind, "1", kind + phone) for kind in ("near", "turn", "missed", "uncalled") for phone in "12"], False),
    ],
)
def test_a_message_twice_or_one_more_than_was_asked_for_is_red(messages: list[tuple[str, str, str]], ok: bool) -> None:
    e = World().evidence
    assert e.truth is not None
    truths = {code: replace(truth, alerts=2 * (code == "440106")) for code, truth in e.truth.openings.items()}
    e.truth = replace(e.truth, openings=truths)
    e.seen.call_messages = [CallMessage(*message) for message in messages]
    assert called_by_sms(e).ok is ok
    e.truth = None
    assert called_by_sms(e).ok is None
