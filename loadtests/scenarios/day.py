"""Does a whole day hold for everyone: three windows, ten districts, 4.84 million residents?

True counts on a compressed clock: a window of four hours lasts 25 minutes, about what two cores need to let its
residents in, as the city file says; queues, deadlines and draws are in real time. For promises and counts, not for
latency.
"""

from loadtests.scenarios import CITIES, Scenario

SCENARIO = Scenario("day", __doc__, {
    "crowd": "day", "city": str(CITIES / "day.toml"), "residents": 4_836_000, "minutes": 77.0, "come_for": 0.88,
    "slo": str(CITIES.parent / "slo_promises.toml"),
})  # fmt: skip
