"""Dispatch: reads the hub's topics and routes each event once. The log may repeat, reorder or rewind: nothing changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.delivery.desk import Desk
from hub.delivery.routing import route_records
from hub.log.broker import batches
from hub.log.scan import seen
from hub.store.database import NoRoom

log = logging.getLogger("hub.dispatch")

GROUP = "hub.dispatch"


class Dispatch:
    """One FastStream batch subscriber over all event topics; offsets are committed after the database did."""

    def __init__(
        self,
        database: AsyncEngine,
        desk: Desk,
        broker: KafkaBroker,
        topics: Sequence[str],
        group: str = GROUP,
        instance: str | None = None,
    ) -> None:
        self.database, self.desk = database, desk
        self.routed = 0
        self.subscriber = batches(broker, topics, group, instance)
        self.subscriber(self.handle)

    async def handle(self, records: tuple[Any, ...]) -> None:
        """Route one batch, trying again until the database has it; only then acknowledge."""
        found = [seen(record) for record in records]
        while True:
            try:
                counts = await route_records(self.database, self.desk, found)
                break
            except (DBAPIError, NoRoom, OSError) as error:
                log.warning("dispatch waits for the database: %s", type(error).__name__)
                await asyncio.sleep(1.0)
        self.routed += counts["routed"]
        for kind in ("unknown", "altered", "no_header"):
            if counts[kind]:
                log.warning("%d records on the log are findings: %s", counts[kind], kind)
        await self._commit(records)

    async def _commit(self, records: tuple[Any, ...]) -> None:
        """Explicit offsets; a failed commit only means that records are read again."""
        offsets: dict[TopicPartition, int] = {}
        for record in records:
            at = TopicPartition(record.topic, record.partition)
            offsets[at] = max(offsets.get(at, 0), record.offset + 1)
        try:
            await asyncio.wait_for(self.subscriber.consumer.commit(offsets), timeout=10)
        except (KafkaError, TimeoutError) as error:
            log.warning("offsets not committed, records will be read again: %s", type(error).__name__)
