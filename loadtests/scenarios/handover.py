"""What happens at 12:00, when one window closes and three districts open at the same moment?

Two districts are four minutes into the end of their window when three others open: those who wait are told that it is
over, those who hold a pass may finish, and the others' draw begins.
"""

from loadtests.scenarios import CITIES, Scenario

SCENARIO = Scenario("handover", __doc__, {
    "crowd": "handover", "city": str(CITIES / "handover.toml"), "residents": 40_000, "minutes": 8.0,
})  # fmt: skip
