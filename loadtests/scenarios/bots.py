"""Do programs that poll too fast, forge, replay and hammer get more than a resident does, or slow others down?"""

from loadtests.scenarios import CITIES, Scenario

SCENARIO = Scenario(
    "bots", __doc__, {"crowd": "bots", "city": str(CITIES / "short.toml"), "residents": 12_000, "minutes": 2.0}
)
