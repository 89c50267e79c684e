"""The database: one engine with the settings that the queue needs, migrations, and the clock of `hub_now()`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hub.ledger import states

#: PostgreSQL ≥ 15; the timeouts are those of gate transactions (protocol.md §6), in milliseconds.
SERVER_SETTINGS = {
    "application_name": "spie-hub",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    # rows of a batch by their primary key, not a scan of the whole table, as long as it is small
    "random_page_cost": "1.1",
    "statement_timeout": "30000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "10000",
    "client_connection_check_interval": "2000",
    "timezone": "UTC",
}

#: Milliseconds of a whole transaction (PostgreSQL ≥ 17). A client that is frozen between the parse and the execution of a
#: statement is neither idle nor running one: nothing else ends it, and its locks stopped accept for minutes (seen).
TRANSACTION_TIMEOUT = "60000"


class NoRoom(Exception):
    """The database has no room (class 53): nothing was kept, the sender must try again later (507)."""


def engine(url: str, pool: int = 20, **server_settings: str) -> AsyncEngine:
    """An asyncpg engine for `url` (``postgresql+asyncpg://…``)."""
    longest = server_settings.pop("transaction_timeout", TRANSACTION_TIMEOUT)
    made = create_async_engine(
        url,
        pool_size=pool,
        max_overflow=0,
        hide_parameters=True,
        pool_pre_ping=False,
        json_serializer=lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        connect_args={"server_settings": SERVER_SETTINGS | server_settings, "timeout": 10},
    )

    @event.listens_for(made.sync_engine, "connect")
    def _bounded(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(
            f"select set_config(name, '{int(longest)}', false) from pg_settings where name = 'transaction_timeout'"
        )
        cursor.close()
        connection.commit()

    @event.listens_for(made.sync_engine, "handle_error")
    def _no_room(context: Any) -> None:
        state = getattr(context.original_exception, "sqlstate", None) or ""
        if state.startswith("53"):
            raise NoRoom(
                f"the database has no room left ({state}); free space and send again"
            ) from context.original_exception

    return made


@asynccontextmanager
async def transaction(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One READ COMMITTED transaction (PostgreSQL's default, which the protocol's lock order relies on)."""
    async with database.begin() as connection:
        yield connection


async def rows(connection: AsyncConnection, sql: str, /, **values: Any) -> list[Any]:
    """All rows of one statement."""
    return list((await connection.execute(text(sql), values)).all())


async def run(connection: AsyncConnection, sql: str, /, **values: Any) -> int:
    """Execute one statement; the number of rows it touched."""
    return (await connection.execute(text(sql), values)).rowcount


async def scalar(connection: AsyncConnection, sql: str, /, **values: Any) -> Any:
    """The first column of the first row, or None."""
    return (await connection.execute(text(sql), values)).scalar()


async def unbounded(connection: AsyncConnection) -> None:
    """Let this transaction, which reads much and holds nobody up, take its time."""
    await run(
        connection,
        "select set_config(name, '0', true) from pg_settings "
        "where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')",
    )


async def migrate(url: str) -> None:
    """Bring the schema to the newest migration and the state table to ``states.toml``. Idempotent.

    Raises RuntimeError when the server does not make commits durable (fsync or synchronous_commit off)."""
    made = engine(
        url, pool=1, statement_timeout="0", lock_timeout="60000", idle_in_transaction_session_timeout="0",
        transaction_timeout="0",
    )  # fmt: skip
    try:
        async with made.connect() as connection:
            await durable(connection)
        async with made.begin() as connection:
            await run(connection, "select pg_advisory_xact_lock(0, 1)")
            await connection.run_sync(_upgrade)
            await run(connection, "delete from delivery_transition")
            await run(
                connection,
                "insert into delivery_transition select * from unnest(cast(:a as text[]), cast(:b as text[]))",
                a=[a for a, _ in states.transitions()],
                b=[b for _, b in states.transitions()],
            )
    finally:
        await made.dispose()


def _upgrade(connection: Connection) -> None:
    # imported here: it costs most of a second, and only the process that migrates needs it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def durable(connection: AsyncConnection) -> None:
    """Refuse a server on which a receipt would not mean *durable*. Raises RuntimeError."""
    for name, wanted in (("fsync", {"on"}), ("synchronous_commit", {"on", "remote_apply", "remote_write"})):
        value = await scalar(connection, "select current_setting(:name)", name=name)
        if value not in wanted:
            raise RuntimeError(
                f"PostgreSQL runs with {name} = {value}: a receipt would not be durable. Set it to on and start again."
            )


async def listen(url: str, channel: str, wake: Any) -> asyncpg.Connection:
    """A connection of its own that calls ``wake()`` at each NOTIFY on `channel`. NOTIFY is a hint, polling the guarantee."""
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))
    await connection.add_listener(channel, lambda *_: wake())
    return connection


def lost_race(error: DBAPIError) -> bool:
    """True when another transaction took the same unique key or a lock first: run the transaction again."""
    return (getattr(error.orig, "sqlstate", None) or "") in {"23505", "40P01", "55P03", "40001"}


async def move_clock(database: AsyncEngine, seconds: float) -> None:
    """Move the virtual clock forward (only databases made virtual; refused while something is being sent)."""
    async with database.begin() as connection:
        moved = await run(
            connection,
            "update clock set ahead = ahead + make_interval(secs => :s) where virtual",
            s=seconds,
        )
        if not moved:
            raise RuntimeError(
                "this database runs on the real clock; only demo and test databases may move it"
            )
