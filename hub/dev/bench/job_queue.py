"""The other baseline: pgqueuer, the fastest job queue of its kind in Python, with one no-op job per delivery.

It keeps no order, no ledger and does nothing; what it does per job is what a queue on PostgreSQL costs at least.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from pgqueuer import AsyncpgDriver, Job, Queries, QueueManager
from pgqueuer.types import QueueExecutionMode

from hub.dev.bench.place import Place, per_item

BATCH = 100
"""Jobs per dequeue: faster than pgqueuer's own default of 10."""


@dataclass(frozen=True)
class Worked:
    """Jobs per second of one worker, and CPU µs per job here and in PostgreSQL."""

    jobs_per_s: float
    python_us: float
    postgres_us: float | None


async def run(place: Place, jobs: int) -> Worked:
    """Enqueue `jobs` no-op jobs, then do them with one worker. Raises RuntimeError when some were not done."""
    url = str(place.settings.database_url).replace("postgresql+asyncpg://", "postgresql://")
    connection = await asyncpg.connect(url)
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

        began, python, postgres = time.perf_counter(), time.process_time(), place.cpu_seconds("postgres")
        await worker.run(timedelta(seconds=0.2), batch_size=BATCH, mode=QueueExecutionMode.drain)
        if done != jobs:
            raise RuntimeError(f"pgqueuer did {done} of {jobs} jobs")
        return Worked(
            jobs / (ended - began),
            per_item(time.process_time(), python, jobs),
            per_item(place.cpu_seconds("postgres"), postgres, jobs),
        )
    finally:
        if not connection.is_closed():
            await connection.close()
