"""/health: the process is up. /ready: it can do its work, or the reasons why not. /metrics: the overview as gauges."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from hub.gateway.glance import Glance
from hub.gateway.metrics import MEDIA_TYPE, Requests, render
from hub.gateway.parts import Parts
from hub.log.ping import answers
from hub.store import revision
from hub.store.database import NoRoom, transaction

log = logging.getLogger("hub.gateway")

PATIENCE = 3.0
"""Seconds that each check of /ready may take."""


def routes(parts: Parts, glance: Glance, requests: Requests) -> APIRouter:
    """The router of the three addresses; none of them needs a key, none of them tells about persons."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health")
    async def health() -> Response:
        return JSONResponse({"status": "up"})

    @router.get("/ready")
    async def ready() -> Response:
        database, broker = await asyncio.gather(_database(parts), _broker(parts))
        reasons = [reason for reason in (database, broker) if reason]
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Gauges read from SQL at this scrape, and what this process itself counts; `hub_up` 0 when SQL does not answer."""
        try:
            async with asyncio.timeout(PATIENCE * 3):
                found = await glance.now()
        except (OSError, SQLAlchemyError, NoRoom) as error:
            log.warning("metrics without the database: %s", type(error).__name__)
            found = None
        return Response(render(found, requests), media_type=MEDIA_TYPE)

    return router


async def _database(parts: Parts) -> str | None:
    try:
        async with asyncio.timeout(PATIENCE), transaction(parts.database) as connection:
            at = await revision.found(connection)
    except (OSError, SQLAlchemyError, NoRoom) as error:
        return f"the database does not answer ({type(error).__name__})"
    if at != revision.head():
        return f"the database's schema is at {at}, this release needs {revision.head()}: start the scheduler"
    return None


async def _broker(parts: Parts) -> str | None:
    if parts.settings.kafka is None:
        return "no broker is configured"
    if not await asyncio.to_thread(answers, parts.settings.kafka, PATIENCE - 1):
        return "the broker does not answer: events are accepted and kept, and published when it does"
    return None
