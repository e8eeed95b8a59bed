"""Does the opening of window one hold at its true size, in real time?

The announcement's morning: two districts open at 08:00, a third of the crowd is at the door and shares the draw, the
others come over the ten minutes. Everything is as in the city: rules, rates, deadlines, polling.
"""

from loadtests.scenarios import Scenario

SCENARIO = Scenario("opening", __doc__, {"residents": 600_000, "minutes": 10.0})
