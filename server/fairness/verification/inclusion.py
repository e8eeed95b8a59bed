"""Checking that one's own line is in a night's result."""

import datetime as dt
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

from server.core.keys import day_tag
from server.fairness.allotment import tie_break
from server.fairness.beacon import NotOfTheBeacon
from server.fairness.draw import commitment
from server.fairness.line_numbers import line_number
from server.fairness.lots import LATEST, BeaconRound, Lots
from server.fairness.merkle import Proof, check
from server.fairness.pace import Pace, pace_of
from server.fairness.result_file import Line
from server.fairness.verification.allotment import MadePublic
from server.fairness.verification.reading import WrongFile, compare_root, decode, parse
from server.fairness.verification.suited import count_suited

_line = msgspec.json.Decoder(Line)


class _Priority(msgspec.Struct):
    first_dose_date: date | None


class _Appointment(msgspec.Struct):
    site: str
    date: dt.date
    period: str


class _Beacon(msgspec.Struct):
    chain: str
    round: int
    signature: str | None = None
    missing: str | None = None
    randomness: str | None = None


class _Night(msgspec.Struct):
    date: dt.date
    reason: str | None
    reached: dt.date | None
    line: str | None
    leaf: int | None
    root: str | None
    proof: Proof | None
    commitment: str | None
    seed: str | None
    list_root: str | None = None
    version: int | None = None
    beacon: _Beacon | None = None
    key: str | None = None
    blind: str | None = None
    pace: Pace | None = None
    suited: int | None = None


class _Status(msgspec.Struct):
    """A saved answer of `GET /registrations/{no}`."""

    registration_no: str
    state: str
    district: str
    priority: _Priority
    appointment: _Appointment | None
    night: _Night | None


_status = msgspec.json.Decoder(_Status)


class Included(NamedTuple):
    """A line that is under a root: the line, its number in the file from 1, of how many registrations; and of which
    district's night the holder was told that this is the root. `suited`: what they were told of the slots that would
    have suited them; `is_counted`: it was counted in the result file."""

    line: Line
    number: int
    registrations: int
    root: str
    district: str
    date: date
    suited: int | None = None
    is_counted: bool = False


def verify_inclusion(path: Path, published: str | None = None, result: Path | None = None) -> Included:
    """Check that a registration's line is in the night's result, and that the registration says what its line says.

    Args:
        path: JSON, a saved answer of `GET /registrations/{no}`.
        published: the root that was made public.
        result: the night's result file, in which it is counted how many slots would have suited.

    Raises:
        WrongFile: the first thing that is wrong.
        BeaconUnverifiable: this Python cannot check the beacon's signature.
        OSError: a file cannot be read.
    """
    said = parse(0, path.read_bytes(), _status)
    night = said.night
    if night is None:
        raise WrongFile(0, "night: the registration has been in none yet")
    if night.root is None:
        raise WrongFile(0, "root: the night's result was not public yet; save the answer again later")
    if night.line is None or night.proof is None:
        raise WrongFile(0, "proof: the server had none at hand; save the answer again later")
    compare_root(published, night.root)
    raw = night.line.encode()
    if not check(night.root, raw, night.proof):
        raise WrongFile(0, "proof: the line is not under the root at the place that the proof says")
    if night.leaf != night.proof.index:
        raise WrongFile(0, f"leaf: it says {night.leaf}, the proof is of {night.proof.index}")
    line = decode(0, raw, _line)
    expected = _number_in_line(said.registration_no, night.blind)
    if line.no != expected:
        raise WrongFile(0, f"registration_no: by what it says the line is of {expected}, and it is of {line.no}")
    _check_seed(said.district, night, line)
    _check_outcome(said, night, line)
    if result is not None:
        _check_suited(night, line, night.proof.index, result)
    return Included(
        line, night.leaf + 1, night.proof.leaves - 1, night.root, said.district, night.date, night.suited,
        result is not None and night.suited is not None,
    )  # fmt: skip


def _number_in_line(no: str, blind: str | None) -> str:
    try:
        return no if blind is None else line_number(bytes.fromhex(blind), no)
    except ValueError:
        raise WrongFile(0, f"blind: {blind} is not hexadecimal") from None


def _check_seed(district: str, night: _Night, line: Line) -> None:
    try:
        seed = bytes.fromhex(night.seed or "")
    except ValueError:
        raise WrongFile(0, f"seed: {night.seed} is not hexadecimal") from None
    if commitment(seed) != night.commitment:
        raise WrongFile(0, f"commitment: it says {night.commitment}, that of the seed is {commitment(seed)}")
    key = _key(district, night, seed)
    expected = tie_break(key, int(line.no)).hex()
    if line.tie != expected:
        raise WrongFile(0, f"tie: the line says {line.tie}, the seed gives {expected}")


def _key(district: str, night: _Night, seed: bytes) -> bytes:
    """The key of the tie-breaks, as seed, list and beacon give it. The round itself is checked with the whole result,
    which says when the list was frozen."""
    if night.version is None or night.version == 1:
        return seed
    if night.version != LATEST:
        raise WrongFile(0, f"version: nights of version {night.version} are not known here")
    said = night.beacon
    beacon = None if said is None else BeaconRound(said.chain, said.round, said.signature)
    try:
        if beacon is not None and beacon.signature is not None:
            beacon.check_signature()
        lots = Lots(seed, LATEST, beacon=beacon)
        key = lots.key(day_tag(district, night.date), night.list_root or "")
    except NotOfTheBeacon as error:
        raise WrongFile(0, f"beacon: {error}") from None
    except ValueError:
        raise WrongFile(0, f"list_root: {night.list_root} is not hexadecimal") from None
    if said is not None and (said.randomness or "") != (beacon.randomness.hex() if beacon else ""):
        raise WrongFile(0, f"randomness: it says {said.randomness}, which is not the signature's")
    if night.key != key.hex():
        raise WrongFile(0, f"key: it says {night.key}, seed, list and beacon give {key.hex()}")
    return key


def _check_outcome(said: _Status, night: _Night, line: Line) -> None:
    """What the holder is told is what stands in the line."""
    if line.first_dose != said.priority.first_dose_date:
        raise WrongFile(0, f"first_dose_date: it says {said.priority.first_dose_date}, the line {line.first_dose}")
    slot = line.slot[:3] if line.slot else None
    # What was given may have been withdrawn, cancelled or missed since; what was not given cannot be booked.
    if said.state == "booked" and said.appointment is not None:
        held = (said.appointment.date, said.appointment.site, said.appointment.period)
        if held != slot:
            raise WrongFile(0, f"appointment: it says {_words(held)}, the line {_words(slot)}")
    if night.reason != line.reason and (night.reason, line.reason) != ("withdrawn", None):
        raise WrongFile(0, f"reason: it says {night.reason}, the line {line.reason or _words(slot)}")
    _check_pace(night, line)
    if night.reached != line.reached:
        raise WrongFile(0, f"reached: it says {night.reached}, the line {line.reached}")


def _check_pace(night: _Night, line: Line) -> None:
    """What is told of the nights to come follows from the line and from an earlier night, which is public by itself."""
    said = night.pace
    if said is None:
        return
    if line.first_dose is None or line.reached is None:
        raise WrongFile(0, "pace: the line has no dates that one could be told by")
    found = pace_of(line.first_dose, night.date, line.reached, [(said.since, said.reached)])
    if found != said:
        raise WrongFile(
            0,
            f"pace: it says {said.nights} nights, the line and the night of {said.since} give "
            f"{found.nights if found else 'none'}",
        )


def _check_suited(night: _Night, line: Line, leaf: int, result: Path) -> None:
    """What is told of the slots that would have suited the holder is what others before them got."""
    found = count_suited(result, line, leaf, MadePublic(night.commitment, night.list_root, night.root))
    if night.suited not in (None, found):
        raise WrongFile(0, f"suited: it says {night.suited}, the result has {found}")


def _words(slot: tuple[date, str, str] | None) -> str:
    return " ".join(str(part) for part in slot) if slot else "no slot"
