"""The check of what residents' tickets prove: that their entry was in the list which the draw was made of."""

from __future__ import annotations

from loadtests.audit.evidence import Check, Evidence, verdict
from loadtests.audit.seen import ProofSeen
from loadtests.client.merkle import draw_leaf, root_by
from loadtests.resident.run_opening import RunOpening

_NAME, _PROMISE = "listed in the draw", "2: a ticket brings what proves that its entry was in the draw"


def proofs_lead_to_the_root(e: Evidence) -> list[Check]:
    """A sample of residents have what leads from their entry to the root that everybody was shown.

    Nobody asks where several generators play: the tickets stay with who was given them.
    """
    openings = [opening for opening in e.openings if _root(e, opening)]
    if not openings or not any(e.seen.proofs.values()):
        return []
    faults, proven, unanswered = [], 0, 0
    for opening in openings:
        root, drawn = _root(e, opening) or ("", 0)
        proofs = e.seen.proofs.get(opening.district, [])
        answered = [it for it in proofs if it.status and it.status < 500 and it.status != 429]
        unanswered += len(proofs) - len(answered)
        wrong = [(it, why) for it in answered if (why := _fault(it, root, drawn))]
        if wrong:
            it, why = wrong[0]
            faults.append(
                f"{opening.district}: {len(wrong)} of {len(answered)} proofs do not hold, e.g. resident {it.resident}, "
                f"entry {it.entry}: {why}"
            )
        blinds = [it.proof.blind for it in answered if it.proof]
        if len(set(blinds)) < len(blinds):
            faults.append(f"{opening.district}: two entries have one blind")
        proven += len(answered)
    if not faults and not proven:
        return [Check(_NAME, _PROMISE, None, f"{unanswered} residents asked for a proof, and none was answered")]
    silent = f"; {unanswered} more were not answered" if unanswered else ""
    return [verdict(_NAME, _PROMISE, faults, f"{proven} residents' proofs lead to the root{silent}")]


def _root(e: Evidence, opening: RunOpening) -> tuple[str, int] | None:
    """Return the root that was published last, and over how many entries."""
    return next(((look.root, look.entries) for look in reversed(e.looks(opening)) if look.root and look.entries), None)


def _fault(it: ProofSeen, root: str, drawn: int) -> str | None:
    proof = it.proof
    if it.status != 200 or proof is None:
        return f"answered {it.status}, and with no proof"
    if proof.entry != it.entry:
        return f"it is one of entry {proof.entry}"
    if proof.root != root:
        return "it leads to another root than the one that was published"
    try:
        blind, path = bytes.fromhex(proof.blind), [bytes.fromhex(node) for node in proof.path]
    except ValueError:
        return "it is not hexadecimal"
    found = root_by(draw_leaf(it.entry, blind), it.entry, drawn, path)
    return None if found is not None and found.hex() == root else "its path leads elsewhere"
