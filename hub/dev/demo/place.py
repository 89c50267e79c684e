"""Where the demo lives: a HUB_HOME of its own with parts, hub and twins, each process recorded by pid before it runs.

A demo that was killed leaves its record behind; the next one in the same folder ends what is left by it and begins anew.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from hub.dev.embedded import parts, postgres, processes
from hub.dev.embedded.processes import Process
from hub.settings import Settings

MARK = "demo.json"
ANSWERS_WITHIN = 60.0  # seconds; the machine may be loaded
_KEPT = ("demo.lock", "hub.lock", "hub.holder", "parts.lock", MARK)


class NotADemo(Exception):
    """The folder holds something else than a demo; nothing was touched."""


class DemoFailed(Exception):
    """A process of the demo ended or did not answer; the text names its log."""


class Place:
    """A demo's folder. `settings` have the addresses of its parts once they run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = self._empty = settings
        self.home = settings.home
        self._running: dict[str, Process] = {}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Path:
        """Start a Python module in the background; returns its log."""
        log = self.home / "log" / f"{name}.log"

        def record(process: Process) -> None:
            self._running[name] = process
            _write(self.home, self._running)

        processes.spawn([sys.executable, "-m", *command], log, record, cwd=self.home, more=environment)
        return log

    def start_parts(self) -> None:
        """Start PostgreSQL and Kafka. Raises InUse, PartFailed."""
        self.settings = parts.start(self._empty).settings(self._empty)

    def start_twin(self, name: str, *arguments: str) -> None:
        """Start the twin of a connector."""
        state = self.home / "twins" / name
        state.mkdir(parents=True, exist_ok=True)
        self.start(f"twin-{name}", [f"connectors.{name}.twin", "--state", str(state), *arguments], {})

    def twin(self, name: str) -> str:
        """The address of a twin that was started. Raises DemoFailed."""
        return json.loads(self.answer(f"twin-{name}", self.home / "log" / f"twin-{name}.log"))["url"]

    def answer(self, name: str, file: Path) -> str:
        """The first line that a process writes into `file`. Raises DemoFailed."""
        deadline = time.monotonic() + ANSWERS_WITHIN
        while not file.is_file() or "\n" not in (text := file.read_text(errors="replace")):
            self.check(name)
            if time.monotonic() > deadline:
                raise DemoFailed(f"{name} did not answer within {ANSWERS_WITHIN:.0f} s")
            time.sleep(0.05)
        return text.partition("\n")[0]

    def check(self, *names: str) -> None:
        """Raises DemoFailed when one of these (default: any) has ended."""
        for name in names or tuple(self._running):
            if not processes.alive(self._running[name]):
                log = self.home / "log" / f"{name}.log"
                raise DemoFailed(f"{name} ended; {log} says:\n{processes.tail(log)}")

    def end(self) -> None:
        """End everything that was started, the hub first; the data stays."""
        for name in reversed(tuple(self._running)):
            processes.end(self._running[name], patience=15)
        self._running.clear()
        _write(self.home, {})
        parts.stop(self._empty)


@contextmanager
def place(home: Path) -> Iterator[Place]:
    """A fresh demo in `home`; all that it starts ends with the block. Raises NotADemo, InUse."""
    if home.exists() and not (home / MARK).is_file() and {p.name for p in home.iterdir()} - {*_KEPT}:
        raise NotADemo(f"{home} holds something else than a demo: set HUB_HOME to another folder")
    settings = Settings(home=home, database_url=None, kafka=None, topic_prefix="")
    with _alone(home):
        _clear(settings)
        made = Place(settings)
        try:
            yield made
        finally:
            made.end()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Be the one demo in this folder; the hub that it starts holds the hub's own lock."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(home / "demo.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise parts.InUse(
            f"another demo runs in {home}: end it first, or set HUB_HOME to another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _clear(settings: Settings) -> None:
    """End what an earlier demo left running, then delete its data."""
    home = settings.home
    if (home / MARK).is_file():
        for process in json.loads((home / MARK).read_text(encoding="utf-8")).values():
            left = Process(process["pid"], process["created"], tuple(process["command"]))
            processes.end(left, patience=5)
    _write(home, {})
    parts.stop(settings)
    postgres.remove(home)
    for path in home.iterdir():
        if path.name not in _KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write(home: Path, running: Mapping[str, Process]) -> None:
    fresh = home / f"{MARK}.new"
    record = {name: asdict(process) for name, process in running.items()}
    fresh.write_text(json.dumps(record, indent=1), encoding="utf-8")
    fresh.replace(home / MARK)


def near(path: Path) -> str:
    """The path as a person would type it from here."""
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith("..") else relative)
