"""The kernel timer behind every open send: when a deadline passes, the process dies before it can send late.

Set the timer, compare the clock once more, then send: a time computed, frozen, then used was late 10 times of 10
(protocol.md §4, *Send*). SIGALRM keeps its default action, so no Python code has to run for it to work.
"""

from __future__ import annotations

import signal
import time
from typing import Protocol


class Guard(Protocol):
    """Deadlines are readings of `time.monotonic()`, in seconds."""

    def open(self, deadline: float, count: int = 1) -> None: ...

    def close(self, deadline: float) -> None: ...

    def now(self) -> float: ...


class KernelGuard:
    """The real one. Use it only in the sending process: an overdue item kills it with SIGALRM."""

    def __init__(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._open: dict[float, int] = {}
        self._armed: float | None = None

    def now(self) -> float:
        return time.monotonic()

    def open(self, deadline: float, count: int = 1) -> None:
        """Count `count` items in; arm the timer if theirs is the earliest deadline."""
        self._open[deadline] = self._open.get(deadline, 0) + count
        self._arm()

    def close(self, deadline: float) -> None:
        """One item's task, threads included, has ended."""
        left = self._open[deadline] - 1
        if left:
            self._open[deadline] = left
        else:
            del self._open[deadline]
            self._arm()

    def _arm(self) -> None:
        earliest = min(self._open, default=None)
        if earliest == self._armed:
            return
        self._armed = earliest
        if earliest is None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        else:
            # a deadline already behind us must still fire: zero would disarm the timer
            signal.setitimer(signal.ITIMER_REAL, max(earliest - time.monotonic(), 1e-6))
