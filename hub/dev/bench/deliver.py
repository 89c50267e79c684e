"""`hub bench deliver`: accept, then topic, dispatch and four partners with everything on, beside two baselines of the same run.

The baselines are a bare Kafka loop over the same events (the limit) and a job queue with one no-op job per delivery.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import psutil
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from consumers.dispatch import GROUP
from hub.app import App
from hub.dev.bench import bare_loop, job_queue, waiting
from hub.dev.bench.place import Place, per_item, tree_seconds
from hub.dev.bench.traffic import month
from hub.dev.bench.world import RECIPIENTS, SENDER, configure, make_app
from hub.intake.results import Accepted, Incoming
from hub.ledger.reconcile import reconcile
from hub.log import topics
from hub.roles import child_environment
from hub.sdk.inbound import Draft
from hub.store.database import scalar, transaction

BATCH = 500
Say = Callable[[str], None]


class BenchFailed(Exception):
    """The hub did not do what a bench measures; the text says what."""


@dataclass(frozen=True)
class Round:
    """One month through the hub. Rates per second; CPU in µs per event; memory in MiB."""

    accept_events_per_s: float
    events_per_s: float
    deliveries_per_s: float
    bare_loop_events_per_s: float
    queue_jobs_per_s: float
    cpu_us_per_event: dict[str, float | None]
    rss_mib: dict[str, float]


@dataclass(frozen=True)
class Report:
    """Medians of the rounds. `ratio_bare` compares events, `ratio_queue` deliveries with jobs; `whole_events_per_s` is
    accept and the way one after the other; `claim_ms_with_100k_waiting` is what it takes to find and lock the due heads."""

    events: int
    deliveries: int
    rounds: int
    accept_events_per_s: float
    events_per_s: float
    deliveries_per_s: float
    whole_events_per_s: float
    bare_loop_events_per_s: float
    ratio_bare: float
    queue_jobs_per_s: float
    ratio_queue: float
    claim_ms_with_100k_waiting: float
    claims: waiting.Claims
    cpu_us_per_event: dict[str, float | None]
    rss_mib: dict[str, float]
    unaccounted: int
    cores: int
    python: str
    postgres: str


async def deliver(place: Place, events: int, rounds: int, others: int, say: Say) -> Report:
    """Run it on an empty database. `others` waiting rows of other lanes are put there for the claims at the end.

    Raises BenchFailed when something was not delivered or not accounted for."""
    app = make_app(place.settings)
    try:
        await configure(app)
        await asyncio.to_thread(topics.ensure, app.settings.kafka, app.topics)
        warm = list(month(0, events))
        await _accept(place, app, warm)
        await _way(place, app, len(warm))
        measured = []
        for number in range(1, rounds + 1):
            measured.append(await _round(place, app, list(month(number, events))))
            say(f"round {number} of {rounds}: {measured[-1].events_per_s:.0f} events/s")
        unaccounted = await _proven(app, len(warm) + rounds * events)
        claims = await waiting.measure(app, others)
        version = await _scalar(app, "show server_version")
        return _report(events, measured, claims, unaccounted, version)
    finally:
        await app.close()


async def _round(place: Place, app: App, drafts: Sequence[Draft]) -> Round:
    events, deliveries = len(drafts), len(drafts) * len(RECIPIENTS)
    log_ends = await asyncio.to_thread(bare_loop.ends, app)
    accept, accept_cpu = await _accept(place, app, drafts)
    way, way_cpu, memory = await _way(place, app, events)
    bare = await asyncio.to_thread(bare_loop.run, app, log_ends, events)
    queue = await job_queue.run(place, deliveries)
    queue_cpu = {"queue_python_per_job": queue.python_us, "queue_postgres_per_job": queue.postgres_us}
    return Round(
        events / accept,
        events / way,
        deliveries / way,
        events / bare,
        queue.jobs_per_s,
        accept_cpu | way_cpu | queue_cpu,
        memory,
    )


async def _accept(place: Place, app: App, drafts: Sequence[Draft]) -> tuple[float, dict[str, float | None]]:
    """Seconds for all batches, and what they cost here and in PostgreSQL."""
    began, python, postgres = time.perf_counter(), time.process_time(), place.cpu_seconds("postgres")
    for start in range(0, len(drafts), BATCH):
        results = await app.acceptor.accept(
            SENDER, "bench", [Incoming(draft) for draft in drafts[start : start + BATCH]]
        )
        refused = next((r for r in results if not isinstance(r, Accepted) or r.again), None)
        if refused is not None:
            raise BenchFailed(f"an invented fact was not accepted: {refused}")
    seconds = time.perf_counter() - began
    return seconds, {
        "accept_python": per_item(time.process_time(), python, len(drafts)),
        "accept_postgres": per_item(place.cpu_seconds("postgres"), postgres, len(drafts)),
    }


async def _way(
    place: Place, app: App, events: int
) -> tuple[float, dict[str, float | None], dict[str, float]]:
    """From the relay's start to the last settle: seconds, CPU µs per event and MiB by process."""
    async with _roles(app) as processes:
        await _joined(app)
        before = _used(place, processes)
        began = await _scalar(app, "select clock_timestamp()")
        processes["log"].stdin.write(b"go\n")
        await _drained(app, processes)
        ended = await _scalar(app, "select max(settled_at) from delivery")
        used = {
            name: per_item(after, before[name], events) for name, after in _used(place, processes).items()
        }
        memory = {name: psutil.Process(p.pid).memory_info().rss / 2**20 for name, p in processes.items()}
    return (ended - began).total_seconds(), used, memory


@asynccontextmanager
async def _roles(app: App) -> AsyncIterator[dict[str, asyncio.subprocess.Process]]:
    """The hub's processes as in production: one reads, publishes and routes, one sends."""
    processes = {}
    try:
        for role in ("log", "delivery"):
            processes[role] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hub.dev.bench.role",
                role,
                stdin=asyncio.subprocess.PIPE,
                env=child_environment(app),
            )
        yield processes
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in processes.values()))


async def _joined(app: App, patience: float = 60.0) -> None:
    """Wait until the consumers have their partitions."""
    admin, group = AdminClient(bare_loop.client(app)), app.settings.topic_prefix + GROUP
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            found = await asyncio.to_thread(admin.describe_consumer_groups([group])[group].result)
        except KafkaException:  # its coordinator is not chosen yet
            found = None
        stable = found is not None and found.state == ConsumerGroupState.STABLE
        if stable and any(member.assignment.topic_partitions for member in found.members):
            return
        await asyncio.sleep(0.2)
    raise BenchFailed("the consumers did not join their group")


_OPEN = """
select (select 1 from event_way where routed_at is null limit 1) is not null
    or (select 1 from delivery where state in ('waiting', 'sending', 'human') limit 1) is not null
"""
_PROGRESS = "select n_tup_ins + n_tup_upd from pg_stat_user_tables where relname = 'delivery'"


async def _drained(
    app: App, processes: dict[str, asyncio.subprocess.Process], patience: float = 60.0
) -> None:
    """Wait until nothing is unrouted, waiting or sending; at most `patience` seconds without any progress."""
    last, since = -1, time.monotonic()
    while await _scalar(app, _OPEN):
        ended = [name for name, process in processes.items() if process.returncode is not None]
        if ended:
            raise BenchFailed(f"the process {ended[0]} ended")
        done = await _scalar(app, _PROGRESS)
        if done != last:
            last, since = done, time.monotonic()
        if time.monotonic() - since > patience:
            raise BenchFailed("events or deliveries stay open")
        await asyncio.sleep(0.5)


async def _proven(app: App, events: int) -> int:
    """Everything was delivered to everybody, and reconcile finds nothing. Raises BenchFailed."""
    delivered = await _scalar(app, "select count(*) from delivery where state = 'delivered'")
    if delivered != events * len(RECIPIENTS):
        raise BenchFailed(f"{delivered} deliveries instead of {events * len(RECIPIENTS)}")
    found = await reconcile(app.database)
    if found.unaccounted:
        raise BenchFailed(f"reconcile does not account for {found.unaccounted}: {found.findings[:3]}")
    return found.unaccounted


def _used(place: Place, processes: dict[str, asyncio.subprocess.Process]) -> dict[str, float | None]:
    return {
        **{name: tree_seconds(process.pid) for name, process in processes.items()},
        "postgres": place.cpu_seconds("postgres"),
        "kafka": place.cpu_seconds("kafka"),
    }


async def _scalar(app: App, sql: str) -> Any:
    async with transaction(app.database) as connection:
        return await scalar(connection, sql)


def _report(
    events: int, measured: list[Round], claims: waiting.Claims, unaccounted: int, postgres: str
) -> Report:
    values = [asdict(one) for one in measured]

    def middle(name: str) -> float:
        return median(value[name] for value in values)

    def middles(name: str) -> dict[str, Any]:
        return {
            key: None
            if values[0][name][key] is None
            else round(median(value[name][key] for value in values), 1)
            for key in values[0][name]
        }

    return Report(
        events=events,
        deliveries=events * len(RECIPIENTS),
        rounds=len(measured),
        accept_events_per_s=round(middle("accept_events_per_s")),
        events_per_s=round(middle("events_per_s")),
        deliveries_per_s=round(middle("deliveries_per_s")),
        whole_events_per_s=round(
            median(1 / (1 / one.accept_events_per_s + 1 / one.events_per_s) for one in measured)
        ),
        bare_loop_events_per_s=round(middle("bare_loop_events_per_s")),
        ratio_bare=round(median(one.events_per_s / one.bare_loop_events_per_s for one in measured), 3),
        queue_jobs_per_s=round(middle("queue_jobs_per_s")),
        ratio_queue=round(median(one.deliveries_per_s / one.queue_jobs_per_s for one in measured), 3),
        claim_ms_with_100k_waiting=claims.heads_ms,
        claims=claims,
        cpu_us_per_event=middles("cpu_us_per_event"),
        rss_mib=middles("rss_mib"),
        unaccounted=unaccounted,
        cores=os.cpu_count() or 1,
        python=sys.version.partition(" ")[0],
        postgres=postgres.partition(" ")[0],
    )
