"""The relay: accepted rows without an address go to the log in `no` order, their address is stored on the ack.

Two relays are harmless: a record may stand twice, and is routed once all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.log import headers
from hub.log.registry import FileRegistry
from hub.people.keys import MasterKey
from hub.store.database import NoRoom, rows, run, transaction

log = logging.getLogger("hub.relay")

BATCH = 500


class Relay:
    """Publishes until stopped. `woken` is set by NOTIFY after each accept; twice a second it looks anyway."""

    def __init__(
        self,
        database: AsyncEngine,
        broker: KafkaBroker,
        registry: FileRegistry,
        master: MasterKey,
        topic: Callable[[str], str],
    ) -> None:
        self.database, self.broker, self.registry, self.master = database, broker, registry, master
        self.topic = topic
        self.woken = asyncio.Event()
        self.published = 0
        self._stopping = False

    async def run(self) -> None:
        """Publish for ever; a broker or database that does not answer is waited for, nothing is lost meanwhile."""
        while not self._stopping:
            try:
                if await self.step() == 0:
                    self.woken.clear()
                    await self._rest(0.5)
            except (KafkaError, DBAPIError, NoRoom, OSError) as error:
                log.warning("the relay waits: %s", type(error).__name__)
                await self._rest(1.0)

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stopping = True
        self.woken.set()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        except TimeoutError:
            return

    async def step(self) -> int:
        """Publish one batch; how many rows got their address. A row whose send failed keeps none and goes again."""
        waiting = await self._waiting()
        if not waiting:
            return 0
        sends = [await self._send(row) for row in waiting]
        answers = await asyncio.gather(*sends, return_exceptions=True)
        acked = [
            (row, answer)
            for row, answer in zip(waiting, answers, strict=True)
            if not isinstance(answer, BaseException)
        ]
        await self.mark_published(acked)
        self.published += len(acked)
        failed = next((answer for answer in answers if isinstance(answer, BaseException)), None)
        if failed is not None:
            raise failed
        return len(acked)

    async def _waiting(self) -> list[Any]:
        async with transaction(self.database) as connection:
            return await rows(
                connection,
                "select e.* from event_way w join event e on e.no = w.no "
                "where w.published_at is null and e.body is not null order by w.no limit :n",
                n=BATCH,
            )

    async def _send(self, row: Any) -> asyncio.Future[Any]:
        schema = self.registry.get(row.record, row.version)
        fields = headers.write(
            headers.EventHeaders(
                id=row.id,
                source=row.source,
                type=schema.ce_type,
                time=row.occurred_at,
                subject=row.person,
                dataschema=schema.dataschema,
                territory=row.territory,
                sequence=row.no,
                schemafingerprint=schema.fingerprint,
                mac=headers.mac(self.master.derive("header"), row.id, row.body_hash),
                causationid=row.causation,
                addressee=row.facts.get("addressee"),
            )
        )
        return await self.broker.publish(
            row.body,
            topic=self.topic(row.record),
            key=str(row.person).encode(),
            headers={name: value.decode("ascii") for name, value in fields},
            no_confirm=True,
        )

    async def mark_published(self, acked: Sequence[tuple[Any, Any]]) -> None:
        """Store topic, partition and offset of what the broker acknowledged."""
        if not acked:
            return
        async with transaction(self.database) as connection:
            await run(
                connection,
                """
                update event_way w set published_at = clock_timestamp(), topic = u.topic, part = u.part, log_offset = u.log_offset
                from unnest(cast(:nos as bigint[]), cast(:topics as text[]), cast(:parts as int[]), cast(:offsets as bigint[]))
                     as u(no, topic, part, log_offset)
                where w.no = u.no
                """,
                nos=[row.no for row, _ in acked],
                topics=[answer.topic for _, answer in acked],
                parts=[answer.partition for _, answer in acked],
                offsets=[answer.offset for _, answer in acked],
            )
