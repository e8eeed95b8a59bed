"""Does anything grow that should not, when it goes on for hours?

A steady stream, well below what the set-up carries; look at the workers' memory and at latencies, early against late.
"""

from loadtests.scenarios import CITIES, Scenario

SCENARIO = Scenario("soak", __doc__, {
    "crowd": "ramp", "arrivals": "even", "city": str(CITIES / "ramp.toml"), "residents": 360_000, "minutes": 60.0,
    "warm_up_seconds": 60,
})  # fmt: skip
