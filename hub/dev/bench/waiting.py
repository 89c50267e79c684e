"""What a claim costs while many other lanes wait: heads due in three days at the same partners, four items behind each."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hub.app import App
from hub.delivery.claim import Claimed, claim
from hub.delivery.routing import route_records
from hub.delivery.settle import Ended, settle
from hub.dev.bench.null.outbound import DELIVERED
from hub.dev.bench.traffic import entrant
from hub.dev.bench.world import RECIPIENTS, SENDER
from hub.intake.results import Incoming
from hub.log.scan import Seen
from hub.store.database import rows, run, scalar, transaction

CLAIMS = 10
SLOTS = 50
"""Items per claim and partner."""
LANE = 5


@dataclass(frozen=True)
class Claims:
    """Medians in ms of a claim of `items` heads, composed and stored: alone, beside `others` waiting rows, and beside
    them with nothing due."""

    others: int
    items: int
    claim_ms_alone: float
    claim_ms: float
    empty_ms: float


async def measure(app: App, first: int, others: int) -> Claims:
    """Claim new people's events before and after `others` rows are put there. The ledger is not sound afterwards."""
    alone = await _claims(app, first)
    await _fill(app, others)
    beside = await _claims(app, first + CLAIMS * SLOTS)
    empty = [(await _timed(app))[0] for _ in range(CLAIMS)]
    return Claims(
        others,
        SLOTS * len(RECIPIENTS),
        round(median(alone) * 1000, 2),
        round(median(beside) * 1000, 2),
        round(median(empty) * 1000, 2),
    )


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


async def _claims(app: App, first: int) -> list[float]:
    """Seconds of each claim; what it took is settled, so that the next one has others to take."""
    await app.acceptor.accept(
        SENDER, "bench", [Incoming(entrant(n)) for n in range(first, first + CLAIMS * SLOTS)]
    )
    async with transaction(app.database) as connection:
        fresh = await rows(
            connection,
            "select e.id, e.body_hash from event e join event_way w on w.no = e.no where w.routed_at is null",
        )
    await route_records(
        app.database, app.desk, [Seen("bench", 0, 0, r.id, bytes(r.body_hash)) for r in fresh]
    )
    taken = []
    while await _due(app):
        seconds, items = await _timed(app)
        await settle(app.database, app.desk, [Ended(item, DELIVERED) for item in items], random.random)
        taken.append(seconds)
    return taken


async def _timed(app: App) -> tuple[float, Sequence[Claimed]]:
    began = time.perf_counter()
    taken = await claim(app.database, app.desk, dict.fromkeys(RECIPIENTS, SLOTS), time.monotonic())
    return time.perf_counter() - began, taken.items


async def _due(app: App) -> int:
    async with transaction(app.database) as connection:
        return await scalar(
            connection, "select count(*) from delivery where state = 'waiting' and due <= (select hub_now())"
        )
