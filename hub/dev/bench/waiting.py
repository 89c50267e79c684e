"""What a claim costs while many other lanes wait: heads due in three days at the same partners, four items behind each."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from hub.app import App
from hub.delivery.claim import Claimed, claim, due_heads
from hub.delivery.routing import route_records
from hub.delivery.settle import Ended, settle
from hub.dev.bench.null.outbound import DELIVERED
from hub.dev.bench.traffic import month
from hub.dev.bench.world import RECIPIENTS, SENDER
from hub.intake.results import Incoming
from hub.log.scan import Seen
from hub.store.database import rows, run, scalar, transaction

CLAIMS = 10
SLOTS = 50
"""Items per claim and partner."""
LANE = 5
FAR = 1_000
"""A month whose people no other part of the bench knows."""


@dataclass(frozen=True)
class Claims:
    """Medians in ms for claims of `items` due heads beside `others` waiting rows: to find and lock the heads, and the whole
    claim, messages composed and stored; both also without the others; and a claim that finds nothing due."""

    others: int
    items: int
    heads_ms: float
    heads_alone_ms: float
    whole_ms: float
    whole_alone_ms: float
    empty_ms: float


async def measure(app: App, others: int) -> Claims:
    """Claim the events of two far months, the second beside `others` rows put there. The ledger is not sound afterwards."""
    alone = await _claims(app, FAR)
    await _fill(app, others)
    beside = await _claims(app, FAR + 1)
    empty = [(await _timed(app))[0] for _ in range(CLAIMS)]
    return Claims(others, SLOTS * len(RECIPIENTS), beside[0], alone[0], beside[1], alone[1], _ms(empty))


def _ms(seconds: Sequence[float]) -> float:
    return round(median(seconds) * 1000, 2)


async def _fill(app: App, others: int) -> None:
    async with transaction(app.database) as connection:
        await run(
            connection,
            """
            insert into delivery (no, partner, replay, person, record, initial, state, reason, due)
            select (select min(no) from event), (cast(:partners as text[]))[1 + lane % cast(:count as int)], lane * :size + item + 1,
                   md5(lane::text)::uuid, 'ContactChanged', 'waiting', 'waiting', 'retry',
                   case when item = 0 then (select hub_now()) + interval '3 days' end
            from generate_series(0, cast(:lanes as int) - 1) lane, generate_series(0, cast(:size as int) - 1) item
            """,
            partners=list(RECIPIENTS),
            count=len(RECIPIENTS),
            size=LANE,
            lanes=others // LANE,
        )
        await run(connection, "analyze delivery")


async def _claims(app: App, number: int) -> tuple[float, float]:
    """Medians of finding the heads and of whole claims; what is claimed is settled, so that the next one has others."""
    drafts = islice(month(number, 2 * CLAIMS * SLOTS), CLAIMS * SLOTS)
    await app.acceptor.accept(SENDER, "bench", [Incoming(draft) for draft in drafts])
    async with transaction(app.database) as connection:
        fresh = await rows(
            connection,
            "select e.id, e.body_hash from event e join event_way w on w.no = e.no where w.routed_at is null",
        )
    await route_records(
        app.database, app.desk, [Seen("bench", 0, 0, r.id, bytes(r.body_hash)) for r in fresh]
    )
    heads, whole = [], []
    while await _due(app):
        heads.append(await _found(app))
        seconds, items = await _timed(app)
        await settle(app.database, app.desk, [Ended(item, DELIVERED) for item in items], random.random)
        whole.append(seconds)
    return _ms(heads), _ms(whole)


async def _found(app: App) -> float:
    """Seconds to find and lock the due heads, in a transaction of its own that changes nothing."""
    async with transaction(app.database) as connection:
        await scalar(connection, "select 1")
        began = time.perf_counter()
        await due_heads(connection, dict.fromkeys(RECIPIENTS, SLOTS))
        return time.perf_counter() - began


async def _timed(app: App) -> tuple[float, Sequence[Claimed]]:
    began = time.perf_counter()
    taken = await claim(app.database, app.desk, dict.fromkeys(RECIPIENTS, SLOTS), time.monotonic())
    return time.perf_counter() - began, taken.items


async def _due(app: App) -> int:
    async with transaction(app.database) as connection:
        return await scalar(
            connection, "select count(*) from delivery where state = 'waiting' and due <= (select hub_now())"
        )
