"""The overview that the page and the metrics share: counted at most once in five seconds, however many look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from hub.ledger.overview import Overview, overview

FRESH = 5.0


class Glance:
    """A cached overview. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        database: Callable[[], AsyncEngine],
        fresh: float = FRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._fresh, self._clock = database, fresh, clock
        self._lock = asyncio.Lock()
        self._last: tuple[float, Overview] | None = None

    async def now(self) -> Overview:
        """An overview that is at most `fresh` seconds old. Raises what the database raises."""
        async with self._lock:
            if self._last is None or self._clock() - self._last[0] >= self._fresh:
                self._last = (self._clock(), await overview(self._database()))
            return self._last[1]
