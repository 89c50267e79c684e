"""Wiring: the only place where settings, connectors, keys, database and broker meet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.delivery.desk import Desk
from hub.delivery.files import FileDesk
from hub.delivery.guard import Guard
from hub.delivery.send import Sender
from hub.intake.accept import Acceptor
from hub.intake.linking import Linker
from hub.log.codec import Codec
from hub.log.registry import FileRegistry, Topic, current
from hub.log.relay import Relay
from hub.people.keys import MasterKey, master_key
from hub.sdk.manifest import Connector, discover
from hub.settings import Settings
from hub.store import database as store
from hub.store.database import run, transaction

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class App:
    """One process's parts, made when first asked for. `settings` must name database and broker (see `hub.cli.parts`)."""

    settings: Settings

    @cached_property
    def master(self) -> MasterKey:
        """The master key of this HUB_HOME, made once."""
        return master_key(self.settings.home / "master.key")

    @cached_property
    def connectors(self) -> Mapping[str, Connector]:
        """Every connector that is installed."""
        return discover(ROOT / "connectors")

    @cached_property
    def registry(self) -> FileRegistry:
        """The schemas."""
        return current()

    @cached_property
    def codec(self) -> Codec:
        """Encodes and decodes events."""
        return Codec(self.registry)

    @cached_property
    def database(self) -> AsyncEngine:
        """The engine; `prepare` brings its schema up to date."""
        if not self.settings.database_url:
            raise RuntimeError("no database: start the parts with `hub up`, or set HUB_DATABASE_URL")
        return store.engine(self.settings.database_url)

    @cached_property
    def desk(self) -> Desk:
        """What claim, send and settle look up."""
        return Desk(self.connectors, self.master, self.codec, allow_http=self.settings.allow_http)

    @cached_property
    def topics(self) -> Mapping[str, Topic]:
        """The declared topics under the names that this hub uses for them."""
        prefix = self.settings.topic_prefix
        return {
            prefix + name: replace(topic, name=prefix + name)
            for name, topic in self.registry.topics().items()
        }

    def topic(self, record: str) -> str:
        """The topic that carries a record's events."""
        return self.settings.topic_prefix + self.registry.topic(record)

    @cached_property
    def acceptor(self) -> Acceptor:
        """The way in."""
        return Acceptor(
            self.database, self.desk, self.registry, allow_real_data=self.settings.allow_real_data
        )

    def sender(self, guard: Guard) -> Sender:
        """The sending role's worker."""
        files = FileDesk(self.database, self.desk, guard)
        return Sender(self.database, self.desk, guard, files, Linker(self.desk, self.registry))

    def relay(self, broker: KafkaBroker) -> Relay:
        """Publishes what was accepted."""
        return Relay(self.database, broker, self.registry, self.master, self.topic)

    async def prepare(self) -> None:
        """Migrate and seed the table of schemas. Idempotent."""
        await store.migrate(self.settings.database_url)
        async with transaction(self.database) as connection:
            await run(
                connection,
                "insert into schema (id, record, version, fingerprint, definition) "
                "select u.id, u.record, u.version, u.fingerprint, u.definition::jsonb from unnest(cast(:ids as int[]), cast(:records as text[]), "
                "cast(:versions as int[]), cast(:fingerprints as text[]), cast(:definitions as text[])) as u(id, record, version, fingerprint, definition) "
                "on conflict (id) do update set fingerprint = excluded.fingerprint, definition = excluded.definition",
                ids=[s.id for s in self.registry.schemas()],
                records=[s.record for s in self.registry.schemas()],
                versions=[s.version for s in self.registry.schemas()],
                fingerprints=[s.fingerprint for s in self.registry.schemas()],
                definitions=[json.dumps(s.definition) for s in self.registry.schemas()],
            )

    async def desk_ready(self) -> Desk:
        """The desk with the newest configurations taken in."""
        async with transaction(self.database) as connection:
            await self.desk.refresh(connection)
        return self.desk

    async def close(self) -> None:
        """Give connections back."""
        if "database" in self.__dict__:
            await self.database.dispose()
