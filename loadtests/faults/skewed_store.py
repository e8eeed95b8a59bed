"""A fault of the clocks of a cluster's nodes."""

from __future__ import annotations

import subprocess
import time
from shutil import which

from loadtests.faults.fault import Cluster, FaultError, StoreTarget
from loadtests.faults.node_steps import hand_over, replicas_of
from loadtests.faults.of_the_cluster import ClusterFault


class SkewStores(ClusterFault):
    """What if the node that takes over has a clock 15 seconds behind, or ahead? City time does not go back.

    It is what the replicas' own calls of the C library say that is off (a library of our own is loaded before it); the
    machine's clock is left alone.
    """

    name = "clock"
    lasts_seconds = 8.0
    _SKEW_SECONDS = 15

    @classmethod
    def problem(cls, redis_url: str | None) -> str | None:
        """It needs a C compiler."""
        if which("cc") is None:
            return f"--fault {cls.name}: cannot be done here: it needs a C compiler (`cc`)"
        return super().problem(redis_url)

    def prepare(self, server: StoreTarget) -> None:
        """Start the replicas again with clocks that are off: of each primary the first one behind, the others ahead."""
        cluster = self.cluster_of(server)
        source, library = server.folder / "clock.c", server.folder / "clock.so"
        source.write_text(_CLOCK)
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise FaultError(f"cannot compile a clock: {' '.join(done.stderr.split())[:200]}")
        for primary in cluster.primaries():
            for i, replica in enumerate(replicas_of(cluster, primary)):
                seconds = self._SKEW_SECONDS if i else -self._SKEW_SECONDS
                cluster.restart(replica, {"LD_PRELOAD": str(library), "REHEARSAL_SKEW": str(seconds)})
        cluster.await_whole()

    def inject(self, server: StoreTarget) -> str:
        """Have a replica take over whose clock is behind."""
        cluster = self.cluster_of(server)
        now = time.time()
        behind = min(cluster.holders_of(server.opening_key)[1:], key=lambda pid: seconds_ahead(cluster, pid))
        hand_over(cluster, behind)
        return f"the opening's primary is process {behind} now, {seconds_ahead(cluster, behind, now):.0f} s ahead"


_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long skew(void) {
    const char *seconds = getenv("REHEARSAL_SKEW");
    return seconds ? atol(seconds) : 0;
}

int gettimeofday(struct timeval *tv, void *tz) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int answer = real(tv, tz);
    if (tv) tv->tv_sec += skew();
    return answer;
}

int clock_gettime(clockid_t id, struct timespec *ts) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(id, ts);
    if (id == CLOCK_REALTIME) ts->tv_sec += skew();
    return answer;
}

time_t time(time_t *to) {
    static time_t (*real)(time_t *);
    if (!real) real = dlsym(RTLD_NEXT, "time");
    time_t answer = real(0) + skew();
    if (to) *to = answer;
    return answer;
}
"""


def seconds_ahead(cluster: Cluster, pid: int, now: float | None = None) -> float:
    """Say how far this node's clock is ahead of ours."""
    with cluster.asking(pid) as client:
        told = client.time()
    return float(told[0]) + float(told[1]) / 1e6 - (now or time.time())
