"""The real PostgreSQL and Kafka that tests run on, and a fresh migrated database per test."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url

from hub.dev.embedded import parts
from hub.settings import Settings
from hub.store.database import migrate

HOMES = Path(tempfile.gettempdir()) / f"spie-hub-tests-{os.getuid()}"


@dataclass(frozen=True)
class Stack:
    """Where the session's parts answer; each test takes a database and topic names of its own."""

    database_url: str  # of a superuser, to create databases from
    kafka: str  # bootstrap servers
    kind: str  # outside, containers or embedded


_chosen = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end which parts the session ran on, and why."""
    if chosen := config.stash.get(_chosen, None):
        terminalreporter.write_line(f"PostgreSQL and Kafka: {chosen}")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """HUB_TEST_DATABASE_URL and HUB_TEST_KAFKA, or containers where Docker answers, or the embedded parts."""
    outside = os.environ.get("HUB_TEST_DATABASE_URL"), os.environ.get("HUB_TEST_KAFKA")
    if all(outside):
        pytestconfig.stash[_chosen] = "those of HUB_TEST_DATABASE_URL and HUB_TEST_KAFKA"
        yield Stack(*outside, "outside")
        return
    from tests import containers

    try:
        with containers.started() as addresses:
            pytestconfig.stash[_chosen] = "containers"
            yield Stack(*addresses, "containers")
            return
    except containers.Unavailable as reason:
        pytestconfig.stash[_chosen] = f"the embedded ones, as there are no containers ({reason})"
    _sweep()
    settings = Settings(home=new_home(), database_url=None, kafka=None)
    try:
        running = parts.start(settings)
        yield Stack(running.database_url, running.kafka, "embedded")
    finally:
        parts.remove(settings)


def new_home() -> Path:
    """A HUB_HOME for a test; its name says whose it is, so that a later session ends what a killed one left."""
    HOMES.mkdir(mode=0o700, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=HOMES))


def _sweep() -> None:
    """End the parts of sessions that were killed."""
    for home in HOMES.iterdir() if HOMES.exists() else ():
        if not psutil.pid_exists(int(home.name.partition("-")[0])):
            parts.remove(Settings(home=home, database_url=None, kafka=None))


@pytest.fixture(scope="session")
async def template(stack: Stack) -> AsyncIterator[str]:
    """The name of a migrated database that each test's database is a copy of."""
    async with _database(stack) as (name, url):
        await migrate(url)
        yield name


@pytest.fixture
async def database(stack: Stack, template: str) -> AsyncIterator[str]:
    """The URL (``postgresql+asyncpg://…``) of a fresh migrated database, dropped after the test."""
    async with _database(stack, template) as (_, url):
        yield url


@asynccontextmanager
async def _database(stack: Stack, template: str = "template1") -> AsyncIterator[tuple[str, str]]:
    server, name = make_url(stack.database_url), f"hub_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(
        server.set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        await connection.execute(f'create database "{name}" template "{template}"')
        try:
            yield name, server.set(database=name).render_as_string(hide_password=False)
        finally:
            await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()
