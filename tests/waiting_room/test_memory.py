"""What a waiting resident costs the store."""

import hashlib
from typing import Any

from redis import Redis

from server.records.statuses import known
from server.store.connecting import connect
from tests.support.stores import Store

_RESIDENTS = 100_000
_BATCH = 1000
_ALLOWED_BYTES = 64
_BLIND_BYTES = 18  # of which two are room for the next ones
_TAG = "440106:2021-06-19"


async def test_a_waiting_resident_costs_64_bytes_at_most_and_in_the_draw_their_blind(store_url: str) -> None:
    store = Store(await connect(store_url))
    store.now_ms = 1_000
    times: dict[str, Any] = {"opens_ms": 1_000, "draw_ms": 120_000, "closes_ms": 14_400_000}
    policy: dict[str, Any] = {"claim_ms": 300_000, "pass_ms": 600_000, "grace_ms": 600_000, "poll_budget": 1500}
    draw: dict[str, Any] = {"beacon": "", "commitment": "", "sealed": "", "night_commitment": "", "night_sealed": ""}
    await store.prepare(_TAG, **times, **policy, **draw, rate=100.0, max_active=30_000)
    with Redis.from_url(store_url) as client:
        before = int(client.info("memory")["used_memory"])
        for start in range(0, _RESIDENTS, _BATCH):
            residents = [hashlib.sha256(i.to_bytes(4)).digest()[:16] for i in range(start, start + _BATCH)]
            answers = known(await store.join(_TAG, residents, blinds=b"".join(residents)))
            assert [a.entry for a in answers] == list(range(start, start + _BATCH))
        by_memory = int(client.info("memory")["used_memory"]) - before
        by_keys = sum(int(client.memory_usage(k, samples=0) or 0) for k in client.keys(f"*{{{_TAG}}}"))
    await store.close()
    assert by_keys / _RESIDENTS <= _ALLOWED_BYTES + _BLIND_BYTES, f"{by_keys / _RESIDENTS:.1f} bytes by MEMORY USAGE"
    assert by_memory / _RESIDENTS <= _ALLOWED_BYTES + _BLIND_BYTES, f"{by_memory / _RESIDENTS:.1f} bytes by INFO"
