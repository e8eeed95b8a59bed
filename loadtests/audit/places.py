"""Checks of places and numbers: guarantees 1 and 2, and who may have a place at all."""

from __future__ import annotations

from collections import Counter

from loadtests.audit.evidence import CLOCK_SLACK_MS, Check, Evidence, claim_ms, serving_steps, unjudged, verdict
from loadtests.audit.seen import OpeningSeen
from loadtests.audit.truth import OpeningTruth
from loadtests.client.draw import bound_key, commitment
from loadtests.crowd.behaviour import INELIGIBLE
from loadtests.resident.facts import Fact
from loadtests.resident.observations import Observations
from loadtests.resident.run_opening import RunOpening


def draw_committed(e: Evidence) -> Check:
    """The seed revealed is the one committed to before the opening, and was secret until the draw was done."""
    faults, done = [], 0
    for opening in e.openings:
        looks = e.looks(opening)
        if any(look.commitment != opening.commitment for look in looks):
            faults.append(f"{opening.district}: commitment changed")
        if any(look.seed and (look.state == "draw" or look.entries is None) for look in looks):
            faults.append(f"{opening.district}: seed shown before the draw was done")
        seeds = {look.seed for look in looks if look.seed}
        if len(seeds) > 1 or any(commitment(bytes.fromhex(seed)) != opening.commitment for seed in seeds):
            faults.append(f"{opening.district}: the seed revealed is not the one committed to")
        if len({look.entries for look in looks if look.entries is not None}) > 1:
            faults.append(f"{opening.district}: the number of entries in the draw changed")
        if len({look.root for look in looks if look.root}) > 1:
            faults.append(f"{opening.district}: the root over the entries changed")
        if any(look.key and not _is_bound(opening, look) for look in looks):
            faults.append(f"{opening.district}: the key is not the one that seed, root and beacon give")
        done += bool(seeds)
    name, promise = "draw committed", "2: the order is the seed's, public before as a hash, after as a seed"
    if not faults and done < len(e.openings):
        return Check(name, promise, None, "the run ended before a draw was done")
    return verdict(name, promise, faults, f"{done} seeds match their commitments")


def _is_bound(opening: RunOpening, look: OpeningSeen) -> bool:
    """Return whether a draw's key is the one that its seed, the root over its entries and its beacon give."""
    if not look.seed or not look.root:
        return False
    tag = f"{opening.district}:{opening.date}"
    return look.key == bound_key("draw", bytes.fromhex(look.seed), tag, look.root, look.signature).hex()


def places_dense(e: Evidence) -> Check:
    """Entries are 0..issued-1, each with one person: held, given up, or replaced by one further back."""
    name, promise = "places dense", "2: numbers are dense and unique"
    if e.truth is None:
        return unjudged(name, promise)
    faults, total = [], 0
    for opening, truth in e.openings_with_truth():
        issued = truth.count("issued")
        entries = Counter(truth.places.values())
        entries.update(truth.left_entries)
        # who leaves once the call was missed is told 204 too, and their place stays among the missed, not the left
        replaced = {spent.entry for spent in e.spent(opening)}.difference(truth.left_entries)
        twice = [entry for entry, times in entries.items() if times > 1]
        if twice:
            faults.append(f"{opening.district}: {len(twice)} entries held twice, e.g. {twice[0]}")
        if still := replaced.intersection(truth.places.values()):
            faults.append(f"{opening.district}: {len(still)} replaced entries still held")
        outside = [entry for entry in entries if not 0 <= entry < issued]
        if outside:
            faults.append(f"{opening.district}: {len(outside)} entries beyond those issued, e.g. {outside[0]}")
        # whoever asked again and never heard the answer may have been moved back without knowing
        unheard = {e.observations.entry[i] for i in e.people(opening) if e.observations.has(i, Fact.JOIN_OPEN)}
        gaps = set(range(issued)) - entries.keys() - replaced - unheard
        if gaps:
            faults.append(f"{opening.district}: {len(gaps)} entries issued and nobody's, e.g. {min(gaps)}")
        total += issued
    return verdict(name, promise, faults, f"{total} entries: no gap, none twice")


def places_as_told(e: Evidence) -> Check:
    """Every place that was told is in the store, nobody's twice, and the store has none nobody asked for."""
    name, promise = "places as told", "1, 4: one resident, one place; what was told is kept"
    observations, faults, total = e.observations, [], 0
    open_joins = Counter(e.crowd.home(i) for i in range(observations.residents) if observations.has(i, Fact.JOIN_OPEN))
    for opening in e.openings:
        people = e.people(opening)
        holders = Counter(observations.entry[i] for i in people)
        holders.update(spent.entry for spent in e.spent(opening))
        shared = [entry for entry, times in holders.items() if times > 1]
        if shared:
            faults.append(f"{opening.district}: {len(shared)} entries told to two people, e.g. {shared[0]}")
        total += len(people)
        if e.truth is None:
            continue
        truth = e.truth.openings[opening.district]
        held, left = set(truth.places.values()), set(truth.left_entries)
        lost = [
            i
            for i in people
            if not observations.has(i, Fact.JOIN_OPEN) and not _kept(observations, i, truth, held, left)
        ]
        if lost:
            faults.append(f"{opening.district}: {len(lost)} places told are not in the store, e.g. resident {lost[0]}")
        untold = held - {observations.entry[i] for i in people}
        unanswered = open_joins[e.openings.index(opening)]
        if len(untold) > unanswered:
            faults.append(f"{opening.district}: {len(untold)} places nobody was told, {unanswered} joins unanswered")
    return verdict(name, promise, faults, f"{total} residents hold the places they were told")


def _kept(observations: Observations, i: int, truth: OpeningTruth, held: set[int], left: set[int]) -> bool:
    """Return whether the store has the place that resident `i` was told last, as held or as given up."""
    entry, number = observations.entry[i], observations.number[i]
    if entry in left:
        return observations.has(i, Fact.LEAVE_SENT)
    # who leaves once the call was missed is told 204 too, and their place stays among the missed
    missed = entry not in truth.claims and 0 < number <= truth.count("serving")
    return entry in held and (missed or not observations.has(i, Fact.LEFT))


def one_place(e: Evidence) -> Check:
    """Refresh, second device and retry change nothing; a new place only for a spent one, and at the back."""
    total, example = e.contradictions(
        "place changed", "place not at the back", "no new place", "number changed", "left without leaving",
        "claimed without claiming", "unknown state",
    )  # fmt: skip
    faults = [f"{total} contradictions{example}"] if total else []
    early = 0
    for opening in e.openings:
        serving, may_claim_ms = serving_steps(e, opening), claim_ms(e, opening)
        numbers = e.numbers[opening.district]
        for spent in e.spent(opening):
            if spent.how not in ("missed", "unaware"):
                continue
            number = spent.number or (numbers.number(spent.entry) if numbers else 0)
            called_after_ms = serving.not_before(number)
            if not number or serving.last < number:
                early += 1
            elif may_claim_ms and called_after_ms is not None:
                early += spent.at_ms < called_after_ms + may_claim_ms - CLOCK_SLACK_MS
    if early:
        faults.append(f"{early} residents were moved to the back before their claim time had run out")
    repeats = len(e.observations.spent)
    return verdict(
        "one place each", "1: refresh, second device, retry change nothing", faults,
        f"every repeated join got the same place; {repeats} spent places were replaced at the back",
    )  # fmt: skip


def draw_order(e: Evidence) -> Check:
    """Every number told is the contract's permutation of its entry."""
    name, promise = "draw order", "2: within the draw the seed's order, after it the order of joining"
    faults, total = [], 0
    for opening in e.openings:
        numbers = e.numbers[opening.district]
        told = list(e.numbered(opening))
        if numbers is None:
            if told:
                faults.append(f"{opening.district}: numbers told, and the draw not done")
            continue
        wrong = [(i, entry, number) for i, entry, number in told if numbers.number(entry) != number]
        if wrong:
            i, entry, number = wrong[0]
            faults.append(
                f"{opening.district}: {len(wrong)} wrong numbers, e.g. resident {i}, entry {entry}: "
                f"{number} in place of {numbers.number(entry)}"
            )
        total += len(told)
    contradictions, example = e.contradictions("number not the draw's")
    if contradictions:
        faults.append(f"{contradictions} were told another number than they had worked out{example}")
    if not faults and not total:
        return Check(name, promise, None, "nobody was told a number")
    own = sum(1 for number in e.observations.own_number if number)
    detail = f"{total} numbers agree with the permutation, {own} were worked out by those who wait"
    return verdict(name, promise, faults, detail)


def eligibility(e: Evidence) -> Check:
    """Those whose day or district it is not get no place, and are told why; everyone else does."""
    total, example = e.contradictions("wrongly let in", "wrongly refused", "eligibility of another")
    refused = sum(1 for i in range(e.observations.residents) if e.observations.has(i, Fact.REFUSED))
    asked = sum(
        1
        for i in range(e.observations.residents)
        if e.observations.has(i, Fact.JOIN_SENT)
        and not e.observations.has(i, Fact.JOIN_OPEN)
        and e.crowd.behaviour(i) in INELIGIBLE
    )
    return verdict(
        "eligibility", "A1-A4: decided before a number is given", [f"{total}{example}"] if total else [],
        f"{refused} of {asked} ineligible residents refused with the right reason; "
        f"{sum(e.meters.counts['eligibility told'].values())} told before the opening",
    )  # fmt: skip
