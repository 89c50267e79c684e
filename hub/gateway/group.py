"""Group commit: what waits of one partner while a transaction runs goes into the next one together.

A receipt costs one durable commit; under load many receipts share it. Each caller gets its own item's result; a caller
that goes away takes nobody with it, and an item that makes a transaction fail is tried alone, so that it fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hub.intake.results import Incoming, Result
from hub.store.database import NoRoom

Accept = Callable[[str, Sequence[Incoming]], Awaitable[Sequence[Result]]]
"""Takes items of one partner in one transaction: (partner, items) → one result per item."""

MOST = 64
ROOM = 2_000

#: SQLSTATE classes that say something about the database and nothing about an item: connection, rollback, resources,
#: object state, operator intervention, system.
_DATABASE = {"08", "40", "53", "55", "57", "58"}


class Busy(Exception):
    """Too many items of this partner wait already; nothing was kept."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    item: Incoming
    result: asyncio.Future[Result]


class Collector:
    """One queue per partner that has something waiting, with one task that empties it. For one event loop."""

    def __init__(self, accept: Accept, most: int = MOST, room: int = ROOM) -> None:
        self._accept, self._most, self._room = accept, most, room
        self._queues: dict[str, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def publish(self, partner: str, items: Sequence[Incoming]) -> list[Result | Exception]:
        """One result per item, in order: what accept says, or the exception that met it (NoRoom: nothing was kept; after
        another one nobody knows). Raises Busy when the queue has no place for all of them; nothing is kept then."""
        queue = self._queues.get(partner)
        if queue is not None and len(queue) + len(items) > self._room:
            raise Busy
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(item, loop.create_future()) for item in items]
        if queue is None:
            queue = self._queues[partner] = deque()
            task = loop.create_task(self._work(partner, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.extend(waiting)
        return await asyncio.gather(*(w.result for w in waiting), return_exceptions=True)

    async def _work(self, partner: str, queue: deque[_Waiting]) -> None:
        try:
            while queue:
                await self._take(partner, self._next(queue))
        finally:
            del self._queues[partner]
            for waiting in queue:
                waiting.result.cancel()

    def _next(self, queue: deque[_Waiting]) -> list[_Waiting]:
        """The oldest items. One id comes once in a transaction: its second use waits and then meets the first one's event,
        so both get the same receipt, or the second learns that its body is another one."""
        taken: list[_Waiting] = []
        later: list[_Waiting] = []
        ids: set[str | None] = set()
        while queue and len(taken) < self._most:
            waiting = queue.popleft()
            if waiting.result.done():  # its caller went away before its turn
                continue
            if waiting.item.source_event_id in ids:
                later.append(waiting)
            else:
                ids.add(waiting.item.source_event_id)
                taken.append(waiting)
        queue.extendleft(reversed(later))
        return taken

    async def _take(self, partner: str, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            results = await self._accept(partner, [w.item for w in batch])
        except Exception as error:
            if len(batch) == 1 or about_database(error):
                _answer(batch, [error] * len(batch))
                return
            for waiting in batch:
                await self._take(partner, [waiting])
        except BaseException:
            for waiting in batch:
                waiting.result.cancel()
            raise
        else:
            _answer(batch, results)


def _answer(batch: Sequence[_Waiting], results: Sequence[Result | Exception]) -> None:
    for waiting, result in zip(batch, results, strict=True):
        if waiting.result.done():
            continue
        if isinstance(result, Exception):
            waiting.result.set_exception(result)
        else:
            waiting.result.set_result(result)


def about_database(error: BaseException) -> bool:
    """True when an exception tells of the database's condition: no use in trying each item alone."""
    if isinstance(error, DBAPIError):
        return (getattr(error.orig, "sqlstate", None) or "08")[:2] in _DATABASE
    return isinstance(error, (NoRoom, OSError, PoolTimeout))
