"""The gateway of a test's hub, spoken to over ASGI as a partner would over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from hub.gateway import make_gateway
from hub.gateway.api import BATCH, ONE
from hub.gateway.auth import create_key
from tests.hubs import World, make_world


@dataclass
class Doors:
    """A world with its gateway; `keys` are made when a partner first speaks."""

    world: World
    client: httpx.AsyncClient
    keys: dict[str, str] = field(default_factory=dict)

    async def header(self, partner: str) -> dict[str, str]:
        if partner not in self.keys:
            self.keys[partner] = await create_key(self.world.app.database, self.world.ids[partner])
        return {"Authorization": f"Bearer {self.keys[partner]}"}

    async def publish(self, partner: str, *events: dict[str, Any], batch: bool = False) -> httpx.Response:
        """One event as it is, or a batch."""
        kind = BATCH if batch else ONE
        return await self.client.post(
            "/v1/events",
            json=list(events) if batch else events[0],
            headers={"Content-Type": kind, **await self.header(partner)},
        )

    async def send(self, partner: str, body: bytes, kind: str = ONE, **headers: str) -> httpx.Response:
        """Any bytes."""
        return await self.client.post(
            "/v1/events",
            content=body,
            headers={"Content-Type": kind, **await self.header(partner), **headers},
        )

    async def read(self, partner: str, event: str) -> httpx.Response:
        return await self.client.get(f"/v1/events/{event}", headers=await self.header(partner))

    async def events(self) -> int:
        return (await self.world.sql("select count(*) as n from event"))[0].n


@asynccontextmanager
async def doors(database: str) -> AsyncIterator[Doors]:
    """A world's gateway."""
    world = await make_world(database)
    transport = httpx.ASGITransport(make_gateway(world.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        yield Doors(world, client)
    await world.app.close()


def event(record: str, id: str, data: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A CloudEvent of a record."""
    family = {"MeasureRequested": "measures", "MeasureAnswered": "measures"}.get(record)
    family = family or (
        "orientations" if record in ("OrientationDecided", "ReferentDesignated") else "entrants"
    )
    return {
        "specversion": "1.0",
        "id": id,
        "source": "https://partner.example/si",
        "type": f"fr.spie.{family}.{record}.v1",
        "data": data,
    } | changed


def person(number: int, **changed: Any) -> dict[str, Any]:
    """An invented person as a partner describes it."""
    return {
        "own_id": f"dossier-{number}",
        "birth_name": f"INVENTE{number}",
        "first_names": [f"Personne{number}"],
        "birth_date": f"{1980 + number % 20}-0{1 + number % 9}-1{number % 9}",
    } | changed


def decision(number: int = 1, id: str = "decision-1", **changed: Any) -> dict[str, Any]:
    """An orientation decided by the Département."""
    data = {
        "parcours": "SOCIAL",
        "organism": "CD",
        "decided_on": "2026-04-10",
        "decider": "PCD",
        "proposal_outcome": "NONE",
        "person": person(number),
    } | changed
    return event("OrientationDecided", id, data)


def request(number: int, addressee: str, id: str = "request-1", **changed: Any) -> dict[str, Any]:
    """A measure requested by the Département from a partner id."""
    data = {
        "type": "mobilite",
        "addressee": addressee,
        "expires_on": "2027-12-31",
        "person": person(number),
    } | changed
    return event("MeasureRequested", id, data)
