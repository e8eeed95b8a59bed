"""Checks of calls, passes and counts: guarantees 2, 3 and 8."""

from __future__ import annotations

from loadtests.audit.evidence import CLOCK_SLACK_MS, Check, Evidence, passes_told, serving_steps, unjudged, verdict
from loadtests.audit.truth import OpeningTruth
from loadtests.resident.facts import NEVER
from loadtests.resident.run_opening import RunOpening

_COUNTERS = ("issued", "called", "claimed", "missed", "left", "left_called", "serving", "missed_to")


def called_in_turn(e: Evidence) -> Check:
    """Nobody was called, or let in, before the calls had reached their number."""
    faults, total = [], 0
    for opening in e.openings:
        serving, numbers = serving_steps(e, opening), e.numbers[opening.district]
        if serving.backward():
            faults.append(f"{opening.district}: the calls went backwards {serving.backward()} times")
        let_in = [(p.entry, p.claimed_ms) for p in passes_told(e, opening)]
        let_in += [
            (e.observations.entry[i], e.observations.ready_ms[i])
            for i in e.people(opening)
            if e.observations.ready_ms[i] != NEVER
        ]
        early = []
        for entry, at_ms in let_in:
            reached = serving.at_most_at(at_ms + e.clock_doubt_ms)
            if numbers is None or (reached is not None and numbers.number(entry) > reached):
                early.append(entry)
        if early:
            faults.append(f"{opening.district}: {len(early)} called out of turn, e.g. entry {early[0]}")
        total += len(let_in)
    for opening, truth in e.openings_with_truth():
        numbers, last = e.numbers[opening.district], truth.count("serving")
        beyond = [entry for entry in truth.claims if numbers is None or numbers.number(entry) > last]
        if beyond:
            faults.append(f"{opening.district}: {len(beyond)} passes beyond the calls, e.g. entry {beyond[0]}")
    total_contradictions, example = e.contradictions("called, then not")
    if total_contradictions:
        faults.append(f"{total_contradictions} were called and then told it was not their turn{example}")
    refused = sum(e.meters.counts["early claims refused"].values())
    return verdict(
        "called in turn", "2: nobody is called out of turn", faults,
        f"{total} calls and claims in turn, {refused} attempts to jump refused",
    )  # fmt: skip


def calls_kept(e: Evidence) -> Check:
    """A call may be claimed as long as was told, and not after."""
    total, example = e.contradictions(
        "missed before its time", "claimed after its time", "called without a deadline", "not told when to ask again"
    )
    ready = sum(1 for i in range(e.observations.residents) if e.observations.ready_ms[i] != NEVER)
    return verdict(
        "calls kept", "2: a call holds until the time that was told", [f"{total}{example}"] if total else [],
        f"{ready} calls held as long as told",
    )  # fmt: skip


def rate_kept(e: Evidence) -> Check:
    """Between any two looks there are no more calls than the rate allows, and one second's burst."""
    name, promise = "rate kept", "3: never more calls than the rate allows"
    if e.truth is None:
        return unjudged(name, promise)
    faults, called = [], 0
    for opening in e.openings:
        seen = e.counters(opening)
        # the most that a stretch of time called beyond its rate: a running maximum, not every pair
        lowest, allowed, before_ms, worst = 0.0, 0.0, None, 0.0
        for look in seen:
            rate = float(look.fields["rate"])
            if before_ms is None:
                before_ms, lowest = look.sent_ms, int(look.fields["called"])
                continue
            allowed += rate * (look.seen_ms - before_ms) / 1000
            over = int(look.fields["called"]) - allowed
            worst = max(worst, over - lowest - max(rate, 1))
            # from this look on the clock starts at its own asking, so that no call is counted without its time
            allowed -= rate * (look.seen_ms - look.sent_ms) / 1000
            lowest = min(lowest, int(look.fields["called"]) - allowed)
            before_ms = look.sent_ms
        if worst > 1:
            faults.append(f"{opening.district}: {worst:.0f} calls more than the rate allows")
        called += int(seen[-1].fields["called"]) if seen else 0
    return verdict(name, promise, faults, f"{called} calls within their rates")


def passes_capped(e: Evidence) -> Check:
    """There are never more passes alive than `max_active`, by the store's count and by what their holders know."""
    name, promise = "passes capped", "3: never more passes alive than max_active"
    if e.truth is None:
        return unjudged(name, promise)
    faults, most = [], 0
    for (opening, truth), told in zip(e.openings_with_truth(), e.opening_histories, strict=True):
        cap = max(
            [int(float(look.fields["max_active"])) for look in e.counters(opening)] or [truth.count("max_active")]
        )
        in_store = max([look.passes_alive for look in e.counters(opening)] or [0])
        # surely alive: from when its holder had it until its use was asked for, or it ran out
        moments = [(p.claimed_ms, 1) for p in passes_told(e, opening)]
        for p in passes_told(e, opening):
            ends_ms = (
                p.expires_ms - CLOCK_SLACK_MS if p.used_ms == NEVER else min(p.used_ms, p.expires_ms - CLOCK_SLACK_MS)
            )
            moments.append((max(ends_ms, p.claimed_ms), -1))
        alive = held = 0
        for _, change in sorted(moments, key=lambda moment: (moment[0], moment[1])):
            alive += change
            held = max(held, alive)
        held = max(held, told.most_passes())
        if max(in_store, held) > cap:
            faults.append(f"{opening.district}: {max(in_store, held)} passes alive, {cap} allowed")
        most = max(most, in_store, held)
    return verdict(name, promise, faults, f"at most {most} passes alive in one opening")


def counts_add_up(e: Evidence) -> Check:
    """issued = waiting + called-and-unclaimed + claimed + missed + left, each counted apart."""
    name, promise = "counts add up", "8: counts add up at any moment"
    if e.truth is None:
        return unjudged(name, promise)
    faults, looks = [], 0
    for opening, truth in e.openings_with_truth():
        for look in e.counters(opening):
            looks += 1
            f = {name: int(float(value)) for name, value in look.fields.items() if name in _COUNTERS and value}
            waiting = f["issued"] - f["called"] - (f["left"] - f["left_called"])
            pending = f["called"] - f["claimed"] - f["missed"] - f["left_called"]
            if min(waiting, pending, *f.values()) < 0 or f["serving"] > f["issued"]:
                faults.append(f"{opening.district}: at {look.sent_ms / 1000:.0f} s a count below zero: {f}")
                break
        faults += [f"{opening.district}: {fault}" for fault in _recount(e, opening, truth)]
    detail = f"recounted from the lists at the end, and {looks} looks at the counters"
    return verdict(name, promise, faults, detail)


def _recount(e: Evidence, opening: RunOpening, truth: OpeningTruth) -> list[str]:
    """Return the opening's counters, counted again from its lists."""
    faults = []
    numbers = e.numbers[opening.district]
    serving, missed_to, claimed = truth.count("serving"), truth.count("missed_to"), truth.count("claimed")
    if not claimed == truth.claimed == len(truth.claims):
        faults.append(f"claimed {claimed}, {truth.claimed} in the list of claims")
    if truth.count("left") != truth.left:
        faults.append(f"left {truth.count('left')}, {truth.left} in the list")
    if numbers is None or truth.fields.get("settled") != "1":
        return faults
    if truth.done != claimed + truth.left:
        faults.append(f"{truth.done} numbers done, {claimed} claimed and {truth.left} left")
    over = (number for number in range(1, missed_to + 1) if not truth.is_done(number))
    missed = sum(number not in truth.starts for number in over)  # those have time of their own still
    if missed != truth.count("missed"):
        faults.append(f"missed {truth.count('missed')}, counted {missed}")
    passed_over = sum(1 for entry in truth.left_entries if numbers.number(entry) <= serving)
    if serving - truth.count("called") != passed_over - truth.count("left_called"):
        faults.append(f"called {truth.count('called')} up to {serving}, {passed_over} of them left")
    return faults
