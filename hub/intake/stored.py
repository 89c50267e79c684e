"""A source's memory read one batch at a time, for the dry run: nothing is locked, written or kept open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from hub.intake.memory import SourceMemory
from hub.log.headers import event_source
from hub.people.keys import MasterKey
from hub.sdk.inbound import Parts
from hub.store.database import transaction


@dataclass(frozen=True)
class StoredMemory:
    """The memory of one partner's flow as it is in the database."""

    database: AsyncEngine
    memory: SourceMemory

    @classmethod
    def of(
        cls, database: AsyncEngine, master: MasterKey, territory: str, partner: str, flow: str
    ) -> StoredMemory:
        return cls(database, SourceMemory(master, territory, event_source(territory, partner, flow)))

    async def get(self, keys: Collection[Parts]) -> Mapping[Parts, Mapping[str, Any]]:
        """The states of those keys that exist."""
        async with transaction(self.database) as connection:
            return await self.memory.load(connection, keys)
