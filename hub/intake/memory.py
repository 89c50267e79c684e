"""A source's own memory in SQL: keyed hashes of its keys, states as the connector wrote them, seen by which batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.people.keys import MasterKey
from hub.sdk.inbound import Parts
from hub.store.database import rows, run


class SourceMemory:
    """The memory of one source (CloudEvents source of partner and flow). The key's first two parts make its scope: for
    the CAF the payer, so that households left out of a whole file can be counted."""

    def __init__(self, master: MasterKey, territory: str, source: str) -> None:
        self.master, self.territory, self.source = master, territory, source

    def hashed(self, key: Parts) -> bytes:
        """The key as it is stored."""
        return bytes.fromhex(self.master.digest(self.territory, "memory", self.source, *key))

    async def load(
        self, connection: AsyncConnection, keys: Iterable[Parts]
    ) -> dict[Parts, Mapping[str, Any]]:
        """The states of those keys that exist."""
        wanted = {self.hashed(key): key for key in keys}
        found = await rows(
            connection,
            "select key, state from memory where source = :s and key = any(cast(:keys as bytea[]))",
            s=self.source,
            keys=list(wanted),
        )
        return {wanted[bytes(row.key)]: row.state for row in found}

    async def store(
        self,
        connection: AsyncConnection,
        changes: Mapping[Parts, Mapping[str, Any] | None],
        seen: Iterable[Parts] = (),
        batch: int | None = None,
    ) -> None:
        """Write what changed, forget what is None, and note which keys this batch has seen."""
        kept = {key: state for key, state in changes.items() if state is not None}
        gone = [self.hashed(key) for key, state in changes.items() if state is None]
        if kept:
            await run(
                connection,
                "insert into memory (source, key, scope, state, seen) select :s, u.key, u.scope, u.state::jsonb, cast(:batch as bigint) "
                "from unnest(cast(:keys as bytea[]), cast(:scopes as bytea[]), cast(:states as text[])) as u(key, scope, state) "
                "on conflict (source, key) do update set state = excluded.state, seen = coalesce(excluded.seen, memory.seen)",
                s=self.source,
                batch=batch,
                keys=[self.hashed(key) for key in kept],
                scopes=[self.hashed(("scope", *key[:2])) if len(key) > 2 else None for key in kept],
                states=[msgspec.json.encode(state).decode() for state in kept.values()],
            )
        if gone:
            await run(
                connection,
                "delete from memory where source = :s and key = any(cast(:keys as bytea[]))",
                s=self.source,
                keys=gone,
            )
        touched = [self.hashed(key) for key in seen if key not in changes]
        if touched and batch is not None:
            await run(
                connection,
                "update memory set seen = :batch where source = :s and key = any(cast(:keys as bytea[])) and seen is distinct from :batch",
                s=self.source,
                batch=batch,
                keys=touched,
            )

    async def absent(self, connection: AsyncConnection, scopes: Sequence[Parts], batch: int) -> list[str]:
        """Keys (hashes, hex) of open entries of these scopes that the batch has not seen."""
        found = await rows(
            connection,
            "select key from memory where source = :s and scope = any(cast(:scopes as bytea[])) "
            "and seen is distinct from :batch and (state ->> 'open')::boolean order by key",
            s=self.source,
            scopes=[self.hashed(("scope", *scope)) for scope in scopes],
            batch=batch,
        )
        return [bytes(row.key).hex() for row in found]
