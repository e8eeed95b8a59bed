"""The night's allotment, from lists to lists: no store, no clock, no file.

```
rules = Rules.of(city, "440106", date(2021, 6, 22), horizon_days=14)
offered = rules.offered([(OfferedSlot(date(2021, 6, 24), "440106-1", "am", "inactivated"), 120)])
night = allot(rules, offered, Candidates([Candidate(no, first_dose, "inactivated", [("440106-1", "any")], True)]), seed)
for outcome in night.outcomes(): ...
```
"""

from server.fairness.allotment.candidates import Candidate, Candidates
from server.fairness.allotment.order import Order, cohorts_of, in_order, tie_break
from server.fairness.allotment.rules import FIRST, PRIORITY, REASONS, SECOND, SENT_BACK, OfferedSlot, Rules, WhyNot
from server.fairness.allotment.serial import Allotment, Decision, allot

__all__ = [
    "FIRST",
    "PRIORITY",
    "REASONS",
    "SECOND",
    "SENT_BACK",
    "Allotment",
    "Candidate",
    "Candidates",
    "Decision",
    "OfferedSlot",
    "Order",
    "Rules",
    "WhyNot",
    "allot",
    "cohorts_of",
    "in_order",
    "tie_break",
]
