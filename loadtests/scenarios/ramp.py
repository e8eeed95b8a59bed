"""What is the highest rate of arrivals that keeps the SLOs, and whose limit is it?

One district without any queue to speak of: everyone goes the whole way (join, poll, claim, form, registration,
receipt), so that load follows the rate. Up by a half until an SLO breaks, then closer and closer (`run/ramp.py`).
Its --json is what `jiaohao plan` learns from; run it with --workers 1, 2, ... for how the server scales.
"""

from loadtests.scenarios import CITIES, Scenario

SCENARIO = Scenario("ramp", __doc__, {
    "crowd": "ramp", "city": str(CITIES / "ramp.toml"), "residents": 300_000, "minutes": 12.0, "ramp": True,
    "rate": 200.0,
})  # fmt: skip
