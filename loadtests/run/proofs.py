"""After a run: a sample of its residents ask for the proof that their entry was in the draw, as their pages do."""

from __future__ import annotations

import gevent
import msgspec

from loadtests.audit.seen import OpeningSeen, ProofSeen
from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Address, Broken, Connection
from loadtests.client.wire_tls import connection_to
from loadtests.resident.observations import Observations

PER_OPENING = 40
"""So many residents ask, evenly from the first to the last entry of those whose tickets are at hand."""
_TRIES = 5
_PAUSE_SECONDS = 0.5
_BUSY = (429, 503)


def ask_for_proofs(
    address: Address, observations: Observations, residents: list[int], looks: list[OpeningSeen]
) -> list[ProofSeen]:
    """Ask with the tickets of a sample, one after the other, on a connection of the audit's own.

    Args:
        residents: who was told a place at this opening.
        looks: at the opening; where none has a root nobody asks.
    """
    drawn = next((look.entries for look in reversed(looks) if look.root and look.entries), None)
    if drawn is None:
        return []
    able = sorted(
        (observations.entry[i], i)
        for i in residents
        if observations.ticket[i] is not None and observations.entry[i] < drawn
    )
    most = min(PER_OPENING, len(able))
    some = [able[k * (len(able) - 1) // max(1, most - 1)] for k in range(most)]
    connection, requests = connection_to(address), Requests(address.authority)
    try:
        return [_proof(connection, requests, i, entry, observations.ticket[i] or b"") for entry, i in some]
    finally:
        connection.close()


def _proof(connection: Connection, requests: Requests, i: int, entry: int, ticket: bytes) -> ProofSeen:
    status = 0
    for _ in range(_TRIES):
        try:
            answer = connection.exchange(requests.get("/ticket/proof", ticket))
        except Broken:
            status = 0
        else:
            status = answer.status
            if status not in _BUSY:
                return ProofSeen(i, entry, status, _decoded(answer.body) if status == 200 else None)
        gevent.sleep(_PAUSE_SECONDS)
    return ProofSeen(i, entry, status)


def _decoded(body: bytes) -> answers.Proof | None:
    try:
        return answers.decode_proof(body)
    except msgspec.DecodeError:
        return None
