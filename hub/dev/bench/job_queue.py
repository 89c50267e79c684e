"""The other baseline: pgqueuer, the fastest job queue of its kind in Python, with one no-op job per delivery.

It keeps no order, no ledger and does nothing; what it does per job is what a queue on PostgreSQL costs at least.
"""

from __future__ import annotations

import time
from datetime import timedelta

import asyncpg
from pgqueuer import AsyncpgDriver, Job, Queries, QueueManager
from pgqueuer.types import QueueExecutionMode

BATCH = 100
"""Jobs per dequeue: faster than pgqueuer's own default of 10."""


async def run(url: str, jobs: int) -> float:
    """Enqueue `jobs` no-op jobs, then do them with one worker; jobs per second. Raises RuntimeError when some were not done."""
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))
    try:
        queries = Queries(AsyncpgDriver(connection))
        if not await queries.has_table("pgqueuer"):
            await queries.install()
        for start in range(0, jobs, 5000):
            count = min(5000, jobs - start)
            await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
        await connection.execute("vacuum analyze pgqueuer")
        worker, done, ended = QueueManager(queries), 0, 0.0

        @worker.entrypoint("noop")
        async def noop(job: Job) -> None:
            nonlocal done, ended
            done, ended = done + 1, time.perf_counter()

        began = time.perf_counter()
        await worker.run(timedelta(seconds=0.2), batch_size=BATCH, mode=QueueExecutionMode.drain)
        if done != jobs:
            raise RuntimeError(f"pgqueuer did {done} of {jobs} jobs")
        return jobs / (ended - began)
    finally:
        if not connection.is_closed():
            await connection.close()
