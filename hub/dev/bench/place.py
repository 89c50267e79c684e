"""Where a bench runs: parts of its own under a temporary HUB_HOME, gone afterwards; and what its processes cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hub.dev.embedded import parts
from hub.settings import Settings


@dataclass(frozen=True)
class Place:
    """Settings with the parts' addresses; `pids` of the parts that run on this machine for the bench alone."""

    settings: Settings
    pids: dict[str, int] = field(default_factory=dict)

    def cpu_seconds(self, part: str) -> float | None:
        """CPU that a part has used since its start, ended backends included; None when it is not ours to look at."""
        return tree_seconds(self.pids[part]) if part in self.pids else None


@contextmanager
def own_parts(names: Sequence[str] = parts.NAMES) -> Iterator[Place]:
    """Start parts that belong to this bench alone; they end with the block and leave nothing. Raises PartFailed."""
    home = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    settings = Settings(home=home, database_url=None, kafka=None)
    try:
        running = parts.start(settings, names)
        pids = {status.name: status.pid for status in parts.status(settings) if status.pid}
        yield Place(running.settings(settings), pids)
    finally:
        parts.remove(settings)


def tree_seconds(pid: int) -> float:
    """CPU seconds of a process, its living descendants and those of its children that have ended."""
    root, total = psutil.Process(pid), 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            if process is root:
                total += times.children_user + times.children_system
    return total


def per_item(after: float | None, before: float | None, items: int) -> float | None:
    """CPU µs per item between two readings of seconds; None when there is none."""
    return None if after is None or before is None else (after - before) / items * 1_000_000
