"""Records of the log by their address: what dispatch and the scan compare with SQL. Ids and hashes, never contents."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from hub.log.headers import read


@dataclass(frozen=True, slots=True)
class Seen:
    """A record of the log. `value_hash` is SHA-256 of its bytes, `event_id` None when it has no headers of the hub."""

    topic: str
    part: int
    offset: int
    event_id: UUID | None
    value_hash: bytes


def seen(record: Any) -> Seen:
    """From a raw consumer record; never raises, whatever is in it."""
    header = read(record.headers)
    return Seen(
        record.topic,
        record.partition,
        record.offset,
        header.id if header else None,
        hashlib.sha256(record.value or b"").digest(),
    )


async def scan(bootstrap: str, topics: Sequence[str]) -> AsyncIterator[Seen]:
    """Every record that the topics hold when the scan begins, read without a group."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        parts = sorted(consumer.assignment())
        starts, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        open_ = {part for part in parts if starts[part] < ends[part]}
        await consumer.seek_to_beginning(*parts)
        while open_:
            for records in (await consumer.getmany(timeout_ms=500, max_records=1000)).values():
                for record in records:
                    if record.offset < ends[TopicPartition(record.topic, record.partition)]:
                        yield seen(record)
            open_ = {part for part in open_ if await consumer.position(part) < ends[part]}
    finally:
        await consumer.stop()
