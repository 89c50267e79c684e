"""The sending role: wait for due work, claim, send under the kernel timer, settle. It is a process of its own.

Two hands share the partners, so that one composes while the other waits for the database. For one partner a process runs
one claim or settle at a time: both want the partner's lock, and a claim only tries it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.delivery.claim import Claimed, Taken, claim
from hub.delivery.desk import Desk
from hub.delivery.files import FileDesk
from hub.delivery.guard import Guard
from hub.delivery.retry import Settlement, rules
from hub.delivery.settle import Ended, Link, pause_errors, pause_unavailable, probe_failed, settle
from hub.sdk.outbound import Attempt, Lookup, Outcome
from hub.store.database import NoRoom, rows, transaction

log = logging.getLogger("hub.delivery")

TICK = 0.2
BATCH = 500
HANDS = 2

#: The partners with a due item or an expired lease: a loose scan over two small indexes, never a poll of each partner.
_BUSY = """
with recursive due as (
    (select partner from delivery where state = 'waiting' and due is not null order by partner limit 1)
    union all
    select (select d.partner from delivery d where d.state = 'waiting' and d.due is not null and d.partner > due.partner
            order by d.partner limit 1) from due where due.partner is not null
)
select p.id from due join partner p on p.id = due.partner
where exists (select 1 from delivery d where d.partner = p.id and d.state = 'waiting' and d.due <= (select hub_now()))
union
select distinct partner from delivery where state = 'sending' and lease_until <= (select hub_now())
"""


@dataclass(slots=True)
class _Health:
    """What the last answers of a partner say about it."""

    unavailable: deque[tuple[float, object]] = field(default_factory=deque)
    poison_row: int = 0
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=100))
    poisoned: int = 0


class _Bell:
    """Wakes all workers; each has its own event, so that none takes another's call."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def hear(self) -> asyncio.Event:
        """An event that each ring sets."""
        self._events.append(asyncio.Event())
        return self._events[-1]

    def set(self) -> None:
        """Ring."""
        for event in self._events:
            event.set()


class Sender:
    """Claims, sends and settles until stopped. `woken` is set by NOTIFY; every 200 ms it looks anyway."""

    def __init__(
        self,
        database: AsyncEngine,
        desk: Desk,
        guard: Guard,
        files: FileDesk | None = None,
        link: Link | None = None,
        tick: float = TICK,
    ) -> None:
        self.database, self.desk, self.guard = database, desk, guard
        self.files, self.link, self.tick = files, link, tick
        self.woken = _Bell()
        self.counts: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._ended: list[list[Ended]] = [[] for _ in range(HANDS)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._health: dict[str, _Health] = defaultdict(_Health)
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`; a lost database connection is waited out, everything in flight lapses by its lease."""
        async with asyncio.TaskGroup() as group:
            for hand in range(HANDS):
                group.create_task(self._work(partial(self._round, hand)))
            if self.files is not None:
                group.create_task(self._work(self.files.step))
        await self._drain()

    async def _work(self, job: Callable[[], Awaitable[bool]]) -> None:
        woken = self.woken.hear()
        while not self._stopping:
            woken.clear()
            try:
                if not await job():
                    await self._rest(woken)
            except (OSError, NoRoom, DBAPIError) as error:
                log.warning("delivery waits for the database: %s", type(error).__name__)
                await asyncio.sleep(1.0)

    async def _rest(self, woken: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.tick):
                await woken.wait()

    def stop(self) -> None:
        """Begin a graceful stop: what has not begun to leave is settled as not started."""
        self._stopping = True
        self.woken.set()

    async def step(self) -> bool:
        """One round of each hand: settle what has ended, claim what is due, start sending. True when there was something
        to do."""
        worked = [await self._round(hand) for hand in range(HANDS)]
        if self.files is not None:
            worked.append(await self.files.step())
        return any(worked)

    async def _round(self, hand: int) -> bool:
        settled = await self._settle(hand)
        claimed = await self._claim(hand)
        return bool(settled or claimed)

    def _hand(self, partner: str) -> int:
        return self.desk.number(partner) % HANDS

    async def _claim(self, hand: int) -> int:
        async with transaction(self.database) as connection:
            busy = [r[0] for r in await rows(connection, _BUSY)]
            if busy:
                await self.desk.refresh(connection)
        by_territory: dict[str, dict[str, int]] = defaultdict(dict)
        for partner in busy:
            desk = self.desk.partner(partner)
            if desk.outbound is None or desk.outbound.transport == "file" or self._hand(partner) != hand:
                continue
            free = desk.outbound.concurrency - self._busy[partner]
            by_territory[desk.territory][partner] = max(0, min(free, BATCH))
        total = 0
        for slots in by_territory.values():
            taken = await claim(self.database, self.desk, slots, self.guard.now())
            self._start(taken.items)
            await self._watch_poison(taken)
            total += len(taken.items) + taken.closed
        return total

    async def _watch_poison(self, taken: Taken) -> None:
        """Pause a partner whose connector fails in a burst: 20 in a row, or half of the last 100."""
        limits = rules()["pause"]
        for partner, poisoned in taken.composed:
            health = self._health[partner]
            health.poison_row = health.poison_row + 1 if poisoned else 0
            full = len(health.recent) == limits["poison_of"]
            health.poisoned += poisoned - (health.recent[0] if full else 0)
            health.recent.append(poisoned)
            full = len(health.recent) == limits["poison_of"]
            share = health.poisoned / limits["poison_of"]
            if health.poison_row >= limits["poison_in_a_row"] or (full and share >= limits["poison_share"]):
                await pause_errors(self.database, partner, "its connector fails on most items")
                log.error(
                    "the connector of partner %s fails on most items: paused until a person resumes", partner
                )
                health.poison_row = health.poisoned = 0
                health.recent.clear()

    def _start(self, items: Sequence[Claimed]) -> None:
        for item in items:
            self.guard.open(item.deadline)
            self._busy[item.partner] += 1
            task = asyncio.create_task(self._send(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, item: Claimed) -> None:
        """One attempt. It leaves the timer only when everything it started has ended."""
        try:
            outcome = await self._attempt(item)
        except Exception as error:
            # a bug in a connector: nobody knows whether bytes left, so the mark must stay
            log.error("connector of partner %s failed: %s", item.partner, type(error).__name__)
            outcome = Outcome("unknown", type(error).__name__)
        self.guard.close(item.deadline)
        self._busy[item.partner] -= 1
        self._ended[self._hand(item.partner)].append(Ended(item, outcome))
        self.woken.set()

    async def _attempt(self, item: Claimed) -> Outcome | Lookup:
        partner = self.desk.partner(item.partner)
        out = partner.outbound
        margin = min(2.0, out.deadline / 4)
        left = item.deadline - margin - self.guard.now()
        if left <= 0 or self._stopping:
            return Outcome("not_started", "stopping" if self._stopping else "late")
        attempt = Attempt(
            item.idempotency_key,
            item.attempt,
            item.recipient,
            self.desk.http(partner, left),
            self.desk.secrets(partner),
        )
        if item.marked and out.unknown_outcome == "look_up":
            return await partner.connector.outbound.look_up(item.message, attempt)
        return await partner.connector.outbound.send(item.message, attempt)

    async def _settle(self, hand: int) -> int:
        ended, self._ended[hand] = self._ended[hand][: 2 * BATCH], self._ended[hand][2 * BATCH :]
        if not ended:
            return 0
        try:
            result = await settle(self.database, self.desk, ended, random.random, self.link)
        except BaseException:
            self._ended[hand] = ended + self._ended[hand]
            raise
        for item, to in result.done:
            self.counts[to.state] += 1
            await self._watch(item, to)
        self.counts["stale"] += result.stale
        return len(ended)

    async def _watch(self, item: Claimed, to: Settlement) -> None:
        """Pause a partner that does not answer: 5 unavailable on at least 2 persons within 60 s; a failed probe at once."""
        limits, health, now = rules()["pause"], self._health[item.partner], self.guard.now()
        if not to.unavailable:
            health.unavailable.clear()
            return
        health.unavailable.append((now, item.person))
        if await probe_failed(self.database, item.partner, limits["probe_most"]):
            log.warning("partner %s still does not answer", item.partner)
            return
        while health.unavailable and now - health.unavailable[0][0] > limits["unavailable_within"]:
            health.unavailable.popleft()
        enough = len(health.unavailable) >= limits["unavailable_count"]
        if enough and len({p for _, p in health.unavailable}) >= limits["unavailable_persons"]:
            until = await pause_unavailable(self.database, item.partner, limits["probe_first"])
            log.warning("partner %s does not answer: paused until %s", item.partner, until.isoformat())

    async def _drain(self) -> None:
        """After a stop: wait for what is under way (each ends by its deadline), then settle it."""
        while self._tasks or any(self._ended):
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=self.tick)
            for hand in range(HANDS):
                await self._settle(hand)
