"""Partner API: publish events as CloudEvents JSON, and ask what became of one's own.

A receipt (202) means durable: the event is in the database, whatever becomes of Kafka, this process or the partner's line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.gateway.auth import Doorkeeper
from hub.gateway.drafts import FLOW, Publish, Sender, read_event
from hub.gateway.group import Busy, Collector, about_database
from hub.gateway.openapi import PUBLISH, READ
from hub.gateway.parts import Parts
from hub.gateway.problems import FieldError, Problem
from hub.gateway.strict import NotJson, parse
from hub.intake.results import Accepted, NotTaken, Result
from hub.ledger.receipt import receipt
from hub.store.database import NoRoom

log = logging.getLogger("hub.gateway")

MAX_BODY = 1024 * 1024
MAX_BATCH = 500
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def routes(parts: Parts, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> APIRouter:
    """The router of `/v1`. `now` is an aware clock (the time of events that do not say theirs)."""
    router = APIRouter(prefix="/v1")
    door = Doorkeeper(parts)
    collector = Collector(lambda partner, items: parts.acceptor.accept(partner, FLOW, items))

    @router.post("/events", status_code=202, openapi_extra=PUBLISH)
    async def publish(request: Request) -> Response:
        """Publish one event, or a batch of which each item succeeds or is refused alone."""
        partner = await door.partner(request)
        batch = _media_type(request)
        document = await _document(request)
        sender = await _sender(parts, partner)
        if not batch:
            answer = (await _publish(parts, collector, sender, [document], now()))[0]
            if isinstance(answer, Problem):
                raise answer
            return JSONResponse(answer, 202)
        if not isinstance(document, list) or not 0 < len(document) <= MAX_BATCH:
            raise Problem("batch_size")
        answers = await _publish(parts, collector, sender, document, now())
        if all(isinstance(a, Problem) and a.code == "no_room" for a in answers):
            raise Problem("no_room")
        return JSONResponse([_item(answer) for answer in answers], 202)

    @router.get("/events/{id}", openapi_extra=READ)
    async def read(request: Request) -> Response:
        """An event of one's own: which of the addressees that it named got it, refused it, or has not got it yet."""
        partner = await door.partner(request)
        try:
            found = await receipt(parts.database, UUID(request.path_params["id"]), partner)
        except ValueError:
            found = None
        if found is None:
            raise Problem("not_found")
        return JSONResponse(found.model_dump(mode="json"))

    return router


def _media_type(request: Request) -> bool:
    """True for a batch. Raises Problem for what is neither."""
    name, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if name.strip().lower() not in (ONE, BATCH) or charset not in ("", "charset=utf-8"):
        raise Problem("media_type")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("media_type", detail="Send the body as it is, without Content-Encoding.")
    return name.strip().lower() == BATCH


async def _document(request: Request) -> Any:
    """The body, read no further than it may be long."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise Problem("too_large")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise Problem("too_large")
    try:
        return parse(bytes(raw))
    except NotJson as error:
        raise Problem("malformed", [FieldError(error.pointer, error.rule)]) from None


async def _sender(parts: Parts, partner: str) -> Sender:
    try:
        territory = parts.desk.partner(partner).territory
    except KeyError:  # configured after this process last looked
        territory = (await parts.desk_ready()).partner(partner).territory
    payer = parts.desk.configuration(territory).territory.main_payer
    return Sender(partner, territory, (payer.fonorg, payer.numorg))


async def _publish(
    parts: Parts, collector: Collector, sender: Sender, documents: Sequence[Any], now: datetime
) -> list[dict[str, Any] | Problem]:
    """A receipt or a problem per document, in order."""
    read: list[Publish | Problem] = []
    for n, document in enumerate(documents, 1):
        try:
            read.append(read_event(document, sender, parts.registry, now, n))
        except Problem as problem:
            read.append(problem)
    fit = [item for item in read if isinstance(item, Publish)]
    try:
        results = iter(
            await collector.publish(sender.partner, [item.incoming for item in fit]) if fit else ()
        )
    except Busy:
        raise Problem("busy") from None
    return [
        _answer(sender.partner, item, next(results)) if isinstance(item, Publish) else item for item in read
    ]


def _answer(partner: str, item: Publish, result: Result | BaseException) -> dict[str, Any] | Problem:
    match result:
        case Accepted():
            return {
                "id": str(result.event_id),
                "sequence": result.no,
                "accepted_at": result.accepted_at.astimezone(UTC).isoformat(),
                **({"references": dict(item.references)} if item.references else {}),
            }
        case NotTaken():
            return _refused(result)
        case NoRoom():
            return Problem("no_room")
        case _:
            log.error("accept failed for partner %s: %s", partner, type(result).__name__)
            return Problem("unavailable" if about_database(result) else "failed")


def _refused(result: NotTaken) -> Problem:
    pointer = "/data" + "".join(f"/{step}" for step in (result.field or "").split(".") if step)
    if result.reason == "invalid":
        return Problem("invalid", [FieldError(pointer, result.detail)])
    return Problem(result.reason, [FieldError(pointer, result.reason)] if result.field else ())


def _item(answer: dict[str, Any] | Problem) -> dict[str, Any]:
    if isinstance(answer, Problem):
        return {"status": answer.status, "problem": answer.document()}
    return {"status": 202, "receipt": answer}
