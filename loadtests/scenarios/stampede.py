"""What if old pages spread nothing, and everyone asks in the very first second?

No page of today does so (it spreads its joins over the draw), but a cached page of yesterday might. The promises must
hold all the same; how late the answers come is what is learned. Two generators, as everyone's connection is open at
once, and 20,000 open files a process is a usual limit.
"""

from loadtests.scenarios import Scenario

SCENARIO = Scenario("stampede", __doc__, {"crowd": "stampede", "residents": 30_000, "minutes": 4.0, "processes": 2})
