"""Start, stop and find again the embedded parts of one HUB_HOME; a part given by the settings is left alone.

``hub.lock`` belongs to one running hub (or one start or stop) per HUB_HOME. ``parts.lock`` guards ``parts.json``, which
keeps the ports (clients find a restarted part where it was) and each part's process, written before it runs."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from hub.dev.embedded import artifacts, postgres, processes
from hub.dev.embedded.artifacts import PartFailed
from hub.dev.embedded.kafka import Kafka
from hub.dev.embedded.postgres import Postgres
from hub.dev.embedded.processes import Process
from hub.settings import Settings

log = logging.getLogger(__name__)

NAMES = ("postgres", "kafka")
#: Below every system's range of outgoing ports: a client that retries cannot take (or connect to) its own port.
PORTS = range(20_000, 32_000)
READY_WITHIN = 90.0  # seconds after its start (a database may have to recover)
ANSWER_WITHIN = 5.0  # seconds, for a part that has been running


class InUse(Exception):
    """Another hub works on this HUB_HOME."""


class NotRunning(Exception):
    """A part that is needed does not run."""


@dataclass(frozen=True)
class Parts:
    """Where the parts answer; None for one that was not asked for."""

    database_url: str | None
    kafka: str | None

    def settings(self, settings: Settings) -> Settings:
        """`settings` with these addresses filled in."""
        return settings.model_copy(
            update={
                "database_url": self.database_url or settings.database_url,
                "kafka": self.kafka or settings.kafka,
            }
        )


@dataclass(frozen=True)
class Status:
    name: str
    embedded: bool
    running: bool
    ready: bool
    pid: int | None
    port: int | None
    since: float | None  # seconds since the epoch


@dataclass
class _State:
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)


@contextmanager
def hold(settings: Settings, role: str = "hub") -> Iterator[None]:
    """Be the one hub of this HUB_HOME until the block ends (or this process dies). Reentrant within the process.

    Raises InUse at once when another process holds it."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(settings.home / "hub.lock", timeout=0, is_singleton=True, thread_local=False)
    holder = settings.home / "hub.holder"
    try:
        lock.acquire()
    except Timeout:
        named = holder.read_text().strip() if holder.exists() else "unknown"
        raise InUse(
            f"another hub works on {settings.home} ({named}). Stop it first, or set HUB_HOME to another folder."
        ) from None
    try:
        if lock.lock_counter == 1:
            holder.write_text(f"{role}, pid {os.getpid()}\n")
        yield
    finally:
        lock.release()


def start(settings: Settings, names: Sequence[str] = NAMES) -> Parts:
    """Start what is missing of `names`, side by side, adopting what runs; returns when all of them answer.

    A start that fails ends what it started. Raises InUse, PartFailed."""
    with hold(settings, "hub up"), _changing(settings) as state:
        return _start(settings, state, [n for n in NAMES if n in names and not _outside(settings, n)])


def attach(settings: Settings, names: Sequence[str] = NAMES) -> Parts:
    """Where the parts that already run answer; takes no lock. Raises NotRunning."""
    state = _read(settings)
    for name in names:
        if not _outside(settings, name) and not processes.alive(state.processes.get(name)):
            raise NotRunning(f"{name} does not run for {settings.home}; start it with: hub up")
    return _parts(settings, state, names)


def stop(settings: Settings) -> list[str]:
    """Stop the embedded parts that run (their data and ports stay); returns their names. Idempotent. Raises InUse."""
    with hold(settings, "hub down"), _changing(settings) as state:
        running = [name for name in NAMES if processes.alive(state.processes.get(name))]
        _end(settings, state, list(state.processes))
        return running


def remove(settings: Settings) -> None:
    """Stop the parts and delete HUB_HOME with the database that belongs to it."""
    stop(settings)
    postgres.remove(settings.home)
    shutil.rmtree(settings.home)


def status(settings: Settings) -> list[Status]:
    """What runs, without a lock; a part given by the settings is only named."""
    state, found = _read(settings), []
    for name in NAMES:
        process = state.processes.get(name)
        running = processes.alive(process)
        ready = running and name in state.ports and _make(settings, state, name).ready(process.pid)
        found.append(
            Status(
                name=name,
                embedded=not _outside(settings, name),
                running=running,
                ready=ready,
                pid=process.pid if running else None,
                port=state.ports.get(name),
                since=process.created if running else None,
            )
        )
    return found


def stop_part(settings: Settings, name: str) -> None:
    """Stop one part as an operator would, whatever hub runs (for fault tests)."""
    with _changing(settings) as state:
        _end(settings, state, [name])


def kill_part(settings: Settings, name: str) -> None:
    """kill -9 one part, whatever hub runs; its record stays, as after a crash (for fault tests)."""
    with _changing(settings) as state:
        processes.end(state.processes.get(name), patience=10, ask=signal.SIGKILL)


def start_part(settings: Settings, name: str) -> None:
    """Start one part again on its ports, whatever hub runs (for fault tests). Raises PartFailed."""
    with _changing(settings) as state:
        _start(settings, state, [name])


def _start(settings: Settings, state: _State, names: list[str]) -> Parts:
    if "kafka" in names:
        artifacts.fetch(settings)
    missing = [name for name in names if not _adopted(settings, state, name)]
    for name in missing:
        _choose_ports(state, name)
    parts = [_make(settings, state, name) for name in missing]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_prepare, parts))
        for part in parts:
            _spawn(settings, state, part)
        for part in parts:
            _await(part, state.processes[part.name])
    except BaseException:
        _end(settings, state, missing)
        raise
    return _parts(settings, state, names)


def _prepare(part: Postgres | Kafka) -> None:
    part.prepare()
    part.clear()


def _spawn(settings: Settings, state: _State, part: Postgres | Kafka) -> None:
    def record(process: Process) -> None:
        state.processes[part.name] = process
        _write(settings, state)

    processes.spawn(part.command, part.log, record, user=part.user)


def _await(part: Postgres | Kafka, process: Process) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not part.ready(process.pid):
        if not processes.alive(process):
            raise PartFailed(
                f"{part.name} ended while it started; {part.log} says:\n{processes.tail(part.log)}"
            )
        if time.monotonic() > deadline:
            raise PartFailed(f"{part.name} did not answer within {READY_WITHIN:.0f} s; see {part.log}")
        time.sleep(0.05)


def _adopted(settings: Settings, state: _State, name: str) -> bool:
    """True when the recorded process runs and answers; one that runs and does not answer is ended."""
    process = state.processes.get(name)
    if process is None or not processes.alive(process):
        return False
    part = _make(settings, state, name)
    starting = process.created + READY_WITHIN - time.time()
    deadline = time.monotonic() + max(ANSWER_WITHIN, starting)
    while not part.ready(process.pid):
        if time.monotonic() > deadline or not processes.alive(process):
            processes.end(process, patience=3, ask=part.stop_signal)
            return False
        time.sleep(0.1)
    return True


def _end(settings: Settings, state: _State, names: Iterable[str]) -> None:
    """End the recorded processes of `names` side by side and forget them."""
    ending = [
        (state.processes[name], _make(settings, state, name)) for name in names if name in state.processes
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: processes.end(pair[0], pair[1].patience, pair[1].stop_signal), ending))
    for _, part in ending:
        del state.processes[part.name]
    _write(settings, state)


def _make(settings: Settings, state: _State, name: str) -> Postgres | Kafka:
    if name == "postgres":
        return Postgres(settings.home, state.ports[name])
    return Kafka(settings.home, artifacts.folder(settings), state.ports[name], state.ports["controller"])


def _outside(settings: Settings, name: str) -> bool:
    return (settings.database_url if name == "postgres" else settings.kafka) is not None


def _parts(settings: Settings, state: _State, names: Sequence[str]) -> Parts:
    urls = {n: _make(settings, state, n).url for n in names if not _outside(settings, n)}
    return Parts(settings.database_url or urls.get("postgres"), settings.kafka or urls.get("kafka"))


def _choose_ports(state: _State, name: str) -> None:
    """Keep the part's ports; take others only when somebody else sits on them."""
    for port in (name, "controller") if name == "kafka" else (name,):
        if port in state.ports and _free(state.ports[port], patience=3):
            continue
        if port in state.ports:
            log.warning(
                "port %s of %s is taken by another program: choosing another one", state.ports[port], port
            )
        taken = set(state.ports.values())
        candidates = (p for p in random.sample(PORTS, len(PORTS)) if p not in taken)
        state.ports[port] = next(p for p in candidates if _free(p))


def _free(port: int, patience: float = 0) -> bool:
    """True when `port` can be bound, within `patience` seconds: a killed JVM's threads keep it for a moment."""
    deadline = time.monotonic() + patience
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return True
            except OSError:
                if time.monotonic() >= deadline:
                    return False
        time.sleep(0.05)


@contextmanager
def _changing(settings: Settings) -> Iterator[_State]:
    with FileLock(settings.home / "parts.lock", timeout=READY_WITHIN + 30):
        yield _read(settings)


def _read(settings: Settings) -> _State:
    file = settings.home / "parts.json"
    if not file.exists():
        return _State()
    kept = json.loads(file.read_text())
    made = {
        name: Process(one["pid"], one["created"], tuple(one["command"]))
        for name, one in kept["processes"].items()
    }
    return _State(kept["ports"], made)


def _write(settings: Settings, state: _State) -> None:
    file: Path = settings.home / "parts.json"
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(state), indent=1))
    fresh.replace(file)
