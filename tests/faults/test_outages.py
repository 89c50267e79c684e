"""Invariant 17: Kafka down, the database full, a partner frozen: no receipt without a row, others go on, all drains."""

from __future__ import annotations

import asyncio

import pytest

from hub.dev.embedded import parts
from hub.intake.results import Accepted
from hub.ledger.reconcile import reconcile
from hub.log import topics
from hub.log.scan import scan
from hub.sdk.outbound import Outcome
from hub.settings import Settings
from hub.store.database import NoRoom, run, transaction
from tests.conftest import new_home
from tests.hubs import entrant, make_world, request
from tests.log.test_way import DISPATCHED, dispatching, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


async def test_kafka_stopped_during_an_import_costs_no_receipt_and_everything_drains_afterwards(database):
    own = Settings(home=new_home(), database_url="postgresql+asyncpg://unused@127.0.0.1/unused", kafka=None)
    try:
        kafka = (await asyncio.to_thread(parts.start, own, ("kafka",))).kafka
        world = await make_world(database, kafka)
        await asyncio.to_thread(topics.ensure, kafka, world.app.topics)
        from hub.log.broker import broker

        made = broker(kafka, "test-relay")
        await made.start()
        relay = world.app.relay(made)
        running = asyncio.create_task(relay.run())
        await world.accept("caf", [entrant(n) for n in range(10)])
        await until(world, "select count(*) from event_way where published_at is not null", 10)
        await asyncio.to_thread(parts.kill_part, own, "kafka")
        for start in range(10, 60, 10):
            results = await world.accept("caf", [entrant(n) for n in range(start, start + 10)])
            assert all(isinstance(r, Accepted) for r in results)
        assert len(await world.sql("select 1 from event")) == 60
        await asyncio.to_thread(parts.start_part, own, "kafka")
        await until(world, "select count(*) from event_way where published_at is not null", 60, tries=1200)
        async with dispatching(world):
            await until(world, DISPATCHED, 60, tries=1200)
        relay.stop()
        await running
        await made.stop()
        await world.pump()
        result = await reconcile(world.app.database, scan(kafka, sorted(world.app.topics)))
        assert result.unaccounted == 0, result.findings
        assert (await world.states("cd")) == ["delivered"] * 60
    finally:
        await asyncio.to_thread(parts.remove, own)


async def test_a_full_database_gives_no_receipt_keeps_nothing_and_takes_the_same_again_later(database):
    """PostgreSQL says disk_full (53100) while the second event is written."""
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    async with transaction(world.app.database) as connection:
        await run(
            connection,
            "create function full_disk() returns trigger language plpgsql as $$ begin "
            "raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$",
        )
        await run(
            connection,
            "create trigger full_disk before insert on event for each row execute function full_disk()",
        )
    with pytest.raises(NoRoom):
        await world.accept("caf", [entrant(2), entrant(3)])
    assert len(await world.sql("select 1 from person")) == 1
    await world.pump()
    assert await world.states("cd") == ["delivered"]  # settling goes on
    async with transaction(world.app.database) as connection:
        await run(connection, "drop trigger full_disk on event")
    results = await world.accept("caf", [entrant(2), entrant(3)])
    assert all(isinstance(r, Accepted) and not r.again for r in results)


async def test_a_frozen_partner_holds_its_own_lanes_and_nobody_elses(database):
    world = await make_world(database)
    frozen = world.partner("s1")
    frozen.hold = asyncio.Event()
    await world.accept("caf", [entrant(n) for n in range(5)])
    await world.accept("cd", [request(n, "s1", world) for n in range(5)])
    await world.pump()
    assert await world.states("s1") == ["sending"] * 5
    assert await world.states("cd") == ["delivered"] * 5 + ["withheld"] * 5
    await world.accept("caf", [entrant(9)])
    await world.pump()
    assert (await world.states("cd"))[-1] == "delivered"
    frozen.hold.set()
    await asyncio.sleep(0)
    await world.pump()
    assert await world.states("s1") == ["delivered"] * 5


async def test_a_partner_away_for_days_gets_everything_in_order_when_it_is_back(database):
    world = await make_world(database)
    away = world.partner("s1")
    await world.accept("caf", [entrant(1), entrant(2)])
    await world.accept("cd", [request(n, "s1", world) for n in (1, 2)])
    away.programme.extend([Outcome("unavailable")] * 400)
    for _ in range(14):
        await world.pump()
        await world.skip(6 * 3600)
    away.programme.clear()
    await world.skip(6 * 3600)
    await world.pump()
    assert await world.states("s1") == ["delivered", "delivered"]
    assert len(away.applied) == 2
    assert (await world.reconcile()).unaccounted == 0
