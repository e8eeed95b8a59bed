"""Checks of the messages about calls: each at most once, and no more of them than the city said it would pay for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loadtests.audit.evidence import Check, Evidence, unjudged, verdict
from loadtests.audit.seen import CallMessage

KINDS: Final = ("near", "turn", "missed", "uncalled")
_MOST_A_PLACE: Final = 3
_NAME: Final = "called by SMS"
_PROMISE: Final = "each message about a call at most once, and no more than three a place that asked for it"


def call_messages(file: Path, words: Mapping[str, str]) -> list[CallMessage]:
    """Return the messages of a file that are about calls.

    Args:
        words: of the city file, by kind, with what each names in braces.
    """
    if not file.exists():
        return []
    patterns = {
        kind: re.compile(r".*?".join(map(re.escape, re.split(r"\{\w+\}", text)))) for kind, text in words.items()
    }
    found = []
    for line in file.read_text("utf-8").splitlines():
        if not line.endswith("}"):  # it is being written
            continue
        message = json.loads(line)
        kind = next((kind for kind, pattern in patterns.items() if pattern.search(message["text"])), None)
        if kind is not None:
            found.append(CallMessage(kind, message["phone"], message["text"]))
    return found


def called_by_sms(e: Evidence) -> Check:
    """No message about a call went out twice, none to somebody who had not asked for it."""
    if e.truth is None:
        return unjudged(_NAME, _PROMISE)
    messages = e.seen.call_messages
    asked = sum(truth.alerts for _, truth in e.openings_with_truth())
    called = sum(truth.count("called") for _, truth in e.openings_with_truth())
    kinds = Counter(message.kind for message in messages)
    twice = [message for message, times in Counter(messages).items() if times > 1]
    faults = []
    if twice:
        faults.append(f"{len(twice)} messages went out twice, e.g. {twice[0].kind}: {twice[0].text[:40]}")
    faults += [
        f"{many} messages `{kind}` for {asked} places that asked" for kind, many in kinds.items() if many > asked
    ]
    if len(messages) > _MOST_A_PLACE * asked:
        faults.append(f"{len(messages)} messages for {asked} places that asked")
    if kinds["turn"] > called:
        faults.append(f"{kinds['turn']} were told that it was their turn, {called} were called")
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
    return verdict(_NAME, _PROMISE, faults, f"{asked} places asked for it: {told}")
