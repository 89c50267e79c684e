"""API keys: one secret per partner, 256 random bits, of which only the SHA-256 is stored (table api_key)."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from hub.gateway.parts import Parts
from hub.gateway.problems import Problem
from hub.store.database import rows, run, scalar, transaction

PREFIX = "spie_"
_ID = 12  # hex digits of the hash by which a key is named


class NoSuchPartner(LookupError):
    """The text says what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the operator sees it: named by the first digits of its hash, never by itself."""

    id: str
    partner: str
    created_at: datetime
    revoked_at: datetime | None


async def create_key(database: AsyncEngine, partner: str) -> str:
    """A new key of a partner, beside those it has (so that one can be replaced without a gap). Shown once, not stored.

    Raises NoSuchPartner."""
    key = PREFIX + secrets.token_urlsafe(32)
    async with transaction(database) as connection:
        known = await scalar(
            connection, "select 1 from partner where id = :p and removed_at is null", p=partner
        )
        if known is None:
            raise NoSuchPartner(f"there is no partner {partner}; `hub partner list` shows those there are")
        await run(
            connection,
            "insert into api_key (hash, partner) values (:hash, :partner)",
            hash=_hash(key),
            partner=partner,
        )
    return key


async def keys(database: AsyncEngine, partner: str | None = None) -> list[Key]:
    """The keys there are, revoked ones too."""
    async with transaction(database) as connection:
        return [
            Key(bytes(r.hash).hex()[:_ID], r.partner, r.created_at, r.revoked_at)
            for r in await rows(
                connection,
                "select * from api_key where cast(:p as text) is null or partner = :p order by partner, created_at",
                p=partner,
            )
        ]


async def revoke_keys(database: AsyncEngine, partner: str, id: str | None = None) -> list[str]:
    """Revoke a partner's keys, all of them or the one named by `id`; the ids that were in force. Idempotent."""
    async with transaction(database) as connection:
        return [
            bytes(r.hash).hex()[:_ID]
            for r in await rows(
                connection,
                "update api_key set revoked_at = clock_timestamp() where partner = :p and revoked_at is null "
                "and (cast(:id as text) is null or starts_with(encode(hash, 'hex'), :id)) returning hash",
                p=partner,
                id=id,
            )
        ]


class Doorkeeper:
    """Looks keys up. A few at a time: a burst of requests must not take all connections from those that accept."""

    def __init__(self, parts: Parts, at_once: int = 4) -> None:
        self._parts, self._few = parts, asyncio.Semaphore(at_once)

    async def partner(self, request: Request) -> str:
        """The partner whose key came with the request. Raises Problem (401); keys never stand in a URL."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        partner = None
        if scheme.lower() == "bearer" and key.startswith(PREFIX):
            async with self._few, transaction(self._parts.database) as connection:
                partner = await scalar(
                    connection,
                    "select partner from api_key where hash = :hash and revoked_at is null",
                    hash=_hash(key.strip()),
                )
        if partner is None:
            raise Problem("unauthenticated", headers={"WWW-Authenticate": 'Bearer realm="spie-hub"'})
        return partner


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
