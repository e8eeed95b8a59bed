"""Can a new version be deployed during the peak without a resident noticing?

Workers are replaced one by one while the crowd joins, polls and registers.
"""

from loadtests.scenarios import CITIES, Scenario

SCENARIO = Scenario("rolling-restart", __doc__, {
    "city": str(CITIES / "short.toml"), "residents": 12_000, "minutes": 2.0, "fault": "rolling-restart",
})  # fmt: skip
