"""The way of an event over the real Kafka: published, read, routed once, whatever the log repeats, loses or rewinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.dispatch import GROUP, Dispatch
from hub.delivery.routing import route_from_sql
from hub.ledger.reconcile import reconcile
from hub.log import topics
from hub.log.broker import broker
from hub.log.scan import scan
from hub.store.database import run, transaction
from tests.hubs import World, decided, entrant, make_world, moved, request

pytestmark = pytest.mark.stack


@asynccontextmanager
async def relayed(world: World) -> AsyncIterator:
    """A relay over a real producer."""
    made = broker(world.app.settings.kafka, "test-relay")
    await made.start()
    try:
        yield world.app.relay(made)
    finally:
        await made.stop()


@asynccontextmanager
async def dispatching(world: World, count: int = 1) -> AsyncIterator[list[Dispatch]]:
    """Dispatchers of one group, as consumers on their own connections."""
    brokers, found = [], []
    for number in range(count):
        made = broker(world.app.settings.kafka, f"test-dispatch-{number}")
        prefix = world.app.settings.topic_prefix
        found.append(
            Dispatch(world.app.database, world.app.desk, made, sorted(world.app.topics), prefix + GROUP)
        )
        brokers.append(made)
    await asyncio.gather(*(made.start() for made in brokers))
    try:
        yield found
    finally:
        await asyncio.gather(*(made.stop() for made in brokers))


async def kafka_world(database: str, stack) -> World:
    world = await make_world(database, stack.kafka)
    await asyncio.to_thread(topics.ensure, stack.kafka, world.app.topics)
    return world


async def publish_all(world: World) -> int:
    async with relayed(world) as relay:
        total = 0
        while count := await relay.step():
            total += count
        return total


async def until(world: World, statement: str, wanted: int, tries: int = 300) -> None:
    """Wait until a count is reached."""
    for _ in range(tries):
        found = (await world.sql(statement))[0][0]
        if found >= wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{statement}: {found} instead of {wanted}")


ROUTED = "select count(*) from event_way where routed_at is not null"
DISPATCHED = "select count(*) from event_way where routed_at is not null and not routed_from_sql"


async def scanned(world: World, **options):
    return await reconcile(
        world.app.database, scan(world.app.settings.kafka, sorted(world.app.topics)), **options
    )


async def test_an_event_goes_over_the_topics_of_its_family_and_comes_back_once(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(n) for n in range(20)])
    await world.accept("cd", [decided(n, world) for n in range(20)])
    assert await publish_all(world) == 40
    async with dispatching(world):
        await until(world, DISPATCHED, 40)
    await world.pump()
    result = await scanned(world)
    assert (result.scanned, result.repeated, result.unaccounted) == (40, 0, 0), result.findings
    addresses = {r.topic.partition(".")[2] for r in await world.sql("select distinct topic from event_way")}
    assert addresses == {"spie.entrants", "spie.orientations"}


async def test_two_relays_repeat_records_and_change_nothing(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(n) for n in range(30)])
    async with relayed(world) as one, relayed(world) as other:
        await asyncio.gather(one.step(), other.step())
    async with dispatching(world):
        await until(world, DISPATCHED, 30)
    result = await scanned(world)
    assert result.scanned >= 30
    assert result.unaccounted == 0
    assert len(await world.sql("select 1 from delivery")) == 30


async def test_two_dispatchers_and_a_group_reset_to_the_start_route_each_event_once(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(n) for n in range(40)])
    await publish_all(world)
    async with dispatching(world, 2):
        await until(world, DISPATCHED, 40)
    before = await world.sql("select no, partner, id from delivery order by no")
    await asyncio.to_thread(_reset_group, world)
    await world.accept("caf", [entrant(99)])
    await publish_all(world)
    async with dispatching(world, 2):
        await until(world, DISPATCHED, 41)
    assert (await world.sql("select no, partner, id from delivery order by no"))[:40] == before
    assert (await scanned(world)).unaccounted == 0


def _reset_group(world: World) -> None:
    admin = AdminClient({"bootstrap.servers": world.app.settings.kafka})
    group = world.app.settings.topic_prefix + GROUP
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
    start = [TopicPartition(t.topic, t.partition, 0) for t in listed.topic_partitions]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, start)])[group].result()


async def test_garbage_on_a_topic_is_a_finding_and_the_reader_goes_on(database, stack):
    world = await kafka_world(database, stack)
    topic = sorted(world.app.topics)[0]
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    for value, headers in (
        (b"garbage", []),
        (None, [("ce_id", b"\xff\xfe")]),
        (b"\x00\x00\x00\x00\x01", [("ce_id", b"no-uuid"), ("ce_specversion", b"1.0")]),
    ):
        await producer.send_and_wait(topic, value, key=b"k", headers=headers)
    await producer.stop()
    await world.accept("caf", [entrant(1)])
    await publish_all(world)
    async with dispatching(world):
        await until(world, DISPATCHED, 1)
        await until(world, "select count(*) from finding", 3)
    result = await scanned(world)
    assert result.unaccounted == 3
    assert {f.check for f in result.findings} == {"e"}


async def test_a_record_that_was_altered_under_its_id_is_found_and_never_routed(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(1)])
    async with transaction(world.app.database) as connection:
        await run(connection, "set local session_replication_role = replica")
        await run(connection, "update event set body_hash = sha256('another body')")
    await publish_all(world)
    async with dispatching(world):
        await until(world, "select count(*) from finding where kind = 'altered'", 1)
    assert not await world.sql("select 1 from delivery")


async def test_topics_deleted_and_made_again_are_found_lost_and_filled_again(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(n) for n in range(10)])
    await publish_all(world)
    async with dispatching(world):
        await until(world, DISPATCHED, 10)
    await asyncio.to_thread(_recreate_topics, world)
    first = await scanned(world)
    assert first.unaccounted == 10
    assert first.republished == 10
    assert await publish_all(world) == 10
    again = await scanned(world)
    assert (again.scanned, again.unaccounted) == (10, 0)


def _recreate_topics(world: World) -> None:
    admin = AdminClient({"bootstrap.servers": world.app.settings.kafka})
    for future in admin.delete_topics(list(world.app.topics), operation_timeout=30).values():
        future.result()
    for _ in range(100):
        if not set(admin.list_topics(timeout=10).topics) & set(world.app.topics):
            break
    topics.ensure(world.app.settings.kafka, world.app.topics)


async def test_an_event_that_dispatch_never_sees_is_routed_from_sql_and_counted(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(1)])
    await publish_all(world)
    assert await route_from_sql(world.app.database, world.app.desk, 60.0) == 0
    assert await route_from_sql(world.app.database, world.app.desk, 0.0) == 1
    assert (await world.sql("select routed_from_sql from event_way"))[0].routed_from_sql
    async with dispatching(world):
        await until(world, ROUTED, 1)
    assert len(await world.sql("select 1 from delivery")) == 1


async def test_order_per_person_does_not_depend_on_the_topics_order(database, stack):
    world = await kafka_world(database, stack)
    await world.accept("caf", [entrant(1)])
    await world.accept("cd", [request(1, "s1", world)])
    await world.accept("caf", [moved(1, 1)])
    await publish_all(world)
    async with dispatching(world):
        await until(world, DISPATCHED, 3)
    await world.pump()
    order = {str(r.id): r.no for r in await world.sql("select id, no from event")}
    applied = [order[key] for key in world.partner("s1").known_keys()]
    assert applied == sorted(applied)
    assert len(applied) == 2
