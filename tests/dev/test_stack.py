"""The fixtures that other tests stand on."""

from __future__ import annotations

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient

from tests.conftest import Stack

pytestmark = pytest.mark.stack


async def _tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute("create table mine (value text)")
        return {
            row[0]
            for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        }
    finally:
        await connection.close()


@pytest.mark.parametrize("_again", [1, 2])
async def test_each_test_has_a_migrated_database_of_its_own(database: str, _again: int) -> None:
    assert {"event", "delivery", "mine"} <= await _tables(database)


def test_kafka_answers(stack: Stack) -> None:
    assert AdminClient({"bootstrap.servers": stack.kafka}).list_topics(timeout=10).brokers
