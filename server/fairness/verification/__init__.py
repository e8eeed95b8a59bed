"""Checking what the system published, from the file alone: an opening's draw, a night's allotment, one's own line,
the public log."""

from server.fairness.verification.allotment import MadePublic, verify_allotment
from server.fairness.verification.draw_inclusion import is_of_a_draw, verify_entry
from server.fairness.verification.inclusion import verify_inclusion
from server.fairness.verification.opening_draw import Published, verify_draw
from server.fairness.verification.public_log import LogFiles, Printed, VerifiedLog, night_in_log, verify_log
from server.fairness.verification.reading import WrongFile

__all__ = [
    "LogFiles", "MadePublic", "Printed", "Published", "VerifiedLog", "WrongFile", "is_of_a_draw", "night_in_log",
    "verify_allotment", "verify_draw", "verify_entry", "verify_inclusion", "verify_log",
]  # fmt: skip
