"""The database's own bounds: what a frozen or slow client may hold, and who is exempt."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from hub.store.database import TRANSACTION_TIMEOUT, engine, rows, scalar, transaction, unbounded

pytestmark = pytest.mark.stack

NAME = "transaction_timeout"


async def bound(connection) -> str | None:
    """In milliseconds; None where PostgreSQL has no such setting (before 17)."""
    return await scalar(connection, "select setting from pg_settings where name = :n", n=NAME)


async def test_every_connection_bounds_its_transactions(database):
    made = engine(database)
    try:
        async with transaction(made) as connection:
            assert await bound(connection) in (TRANSACTION_TIMEOUT, None)
    finally:
        await made.dispose()


async def frozen_with_a_lock(made, other) -> None:
    """A client that holds a row and says nothing more, until somebody else got the row."""
    async with transaction(made) as connection:
        if await bound(connection) is None:
            await rows(connection, "set local idle_in_transaction_session_timeout = 300")
        await rows(connection, "select * from clock for update")
        async with transaction(other) as waiting:
            assert await rows(waiting, "select * from clock for update")
        await rows(connection, "select 1")


async def test_a_transaction_that_takes_too_long_is_ended_and_its_locks_go(database):
    made, other = engine(database, transaction_timeout="300"), engine(database)
    try:
        with pytest.raises(DBAPIError):
            await frozen_with_a_lock(made, other)
    finally:
        await made.dispose()
        await other.dispose()


async def test_a_long_proof_is_exempt_for_its_own_transaction_only(database):
    made = engine(database, pool=1, transaction_timeout="300")
    try:
        async with transaction(made) as connection:
            await unbounded(connection)
            await asyncio.sleep(0.6)
            assert await bound(connection) in ("0", None)
        async with transaction(made) as connection:
            assert await bound(connection) in ("300", None)
            assert await scalar(connection, "show statement_timeout") == "30s"
    finally:
        await made.dispose()
