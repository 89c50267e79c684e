"""Background processes that outlive their starter, recorded before they run and known again by pid and command line.

Nothing is ever found by name: a process is ours when its pid, its start time and its whole command line are the
recorded ones. A zombie counts as ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

#: The child waits for a line on descriptor 3: it runs only once its pid is on disk, and ends if the starter dies first.
#: It is no child of the starter (no zombie there), holds none of its pipes and ignores the terminal's Ctrl-C.
_LAUNCH = 'exec 3<&0; { read -r go <&3 && exec "$@" 3<&- </dev/null >&2; } & echo $!'


@dataclass(frozen=True)
class Process:
    pid: int
    created: float  # seconds since the epoch
    command: tuple[str, ...]


def spawn(
    command: Sequence[str],
    log: Path,
    record: Callable[[Process], None],
    user: int | None = None,
    cwd: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> Process:
    """Start `command` in the background, in a session of its own, its output appended to `log`.

    `record` is called with the pid before the command runs; `user` is the uid to run as (only when root), `more` what
    its environment has besides `environment()`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        launcher = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            cwd=cwd or "/",
            env=environment() | dict(more or {}),
            **as_user(user),
        )
    with launcher:
        pid = int(launcher.stdout.readline())
        process = Process(pid, psutil.Process(pid).create_time(), tuple(command))
        record(process)
        launcher.stdin.write(b"go\n")
    while alive(process, launching=True) and not alive(process):
        time.sleep(0.005)
    return process


def environment() -> dict[str, str]:
    """What a part sees of our environment: no JAVA_*, KAFKA_*, PG* settings of the machine."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ
    }
    return kept | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def as_user(user: int | None) -> dict[str, object]:
    """The subprocess arguments that drop root to `user` (a uid)."""
    return {} if user is None else {"user": user, "group": _group(user), "extra_groups": []}


def _group(user: int) -> int:
    import pwd

    return pwd.getpwuid(user).pw_gid


def alive(process: Process | None, launching: bool = False) -> bool:
    """True when the recorded process still runs: same pid, start time and command line, and no zombie.

    `launching`: the command line may still be the launcher's."""
    if process is None:
        return False
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE or abs(found.create_time() - process.created) > 2:
            return False
        return launching or found.cmdline() == list(process.command)
    except psutil.Error:
        return False


def end(process: Process | None, patience: float, ask: signal.Signals = signal.SIGTERM) -> None:
    """Ask the process to stop and, after `patience` seconds, kill it; returns when it is gone. Idempotent."""
    for number, wait in ((ask, patience), (signal.SIGKILL, 10.0)):
        if alive(process):
            os.kill(process.pid, number)
        deadline = time.monotonic() + wait
        while alive(process):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, for a message about a process that did not start."""
    if not log.is_file():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
