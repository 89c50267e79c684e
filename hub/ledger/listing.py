"""Lists for the person at the terminal: events, deliveries, findings. Ids and codes; no block is opened, nothing personal.

Newest first, by keyset: `before` is the number that the last page ended with, `next` the one to go on with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.log.codec import Codec
from hub.store.database import rows, run, transaction

_Line = TypeVar("_Line")


class NotFound(LookupError):
    """The text says what was looked for."""


class Page(BaseModel, Generic[_Line]):
    """One page of a list. `next` None = it was the last one."""

    items: list[_Line]
    next: int | None = None


class EventLine(BaseModel):
    """One accepted event. `person` is the hub's pseudonymous id. Times are aware."""

    no: int
    id: UUID
    record: str
    emitter: str
    flow: str
    person: UUID
    accepted_at: datetime
    published: bool
    routed: bool


class DeliveryLine(BaseModel):
    """One delivery. `marked`: it may have reached the partner. Times are aware."""

    id: int
    no: int
    record: str
    partner: str
    state: str
    reason: str | None
    code: str | None
    attempt: int
    created_at: datetime
    due: datetime | None
    settled_at: datetime | None
    marked: bool
    replay: int


class Event(BaseModel):
    """One event in full: its clear fields, its sealed blocks by size, its way, and what became of it at each partner."""

    no: int
    id: UUID
    source: str
    source_event_id: str
    record: str
    version: int
    emitter: str
    flow: str
    territory: str
    person: UUID
    journey: UUID | None
    causation: UUID | None
    matter: str | None
    occurred_at: datetime
    accepted_at: datetime
    published_at: datetime | None
    place: str | None
    routed_at: datetime | None
    configuration: int | None
    facts: dict[str, Any]
    fields: dict[str, Any] | None
    sealed: dict[str, int]
    deliveries: list[DeliveryLine]


class FindingLine(BaseModel):
    """A record on the log that is not the hub's own, or no longer what it was."""

    id: int
    at: datetime
    kind: str
    place: str
    event_id: UUID | None
    closed_at: datetime | None
    who: str | None
    reason: str | None


async def events(
    database: AsyncEngine,
    *,
    record: str | None = None,
    emitter: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Page[EventLine]:
    """Accepted events; `since` is aware."""
    async with transaction(database) as connection:
        found = await rows(
            connection,
            """
            select e.no, e.id, e.record, e.emitter, e.flow, w.person, e.accepted_at,
                   w.published_at is not null as published, w.routed_at is not null as routed
            from event e join event_way w on w.no = e.no
            where (cast(:record as text) is null or e.record = :record)
              and (cast(:emitter as text) is null or e.emitter = :emitter)
              and (cast(:since as timestamptz) is null or e.accepted_at >= :since)
              and (cast(:before as bigint) is null or e.no < :before)
            order by e.no desc limit :n
            """,
            record=record,
            emitter=emitter,
            since=since,
            before=before,
            n=limit + 1,
        )
    lines = [EventLine.model_validate(r, from_attributes=True) for r in found[:limit]]
    return Page(items=lines, next=lines[-1].no if len(found) > limit else None)


async def deliveries(
    database: AsyncEngine,
    *,
    partner: str | None = None,
    state: str | None = None,
    reason: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Page[DeliveryLine]:
    """Deliveries."""
    async with transaction(database) as connection:
        found = await rows(
            connection,
            f"""
            select {_DELIVERY} from delivery d
            where (cast(:partner as text) is null or d.partner = :partner) and (cast(:state as text) is null or d.state = :state)
              and (cast(:reason as text) is null or d.reason = :reason) and (cast(:before as bigint) is null or d.id < :before)
            order by d.id desc limit :n
            """,
            partner=partner,
            state=state,
            reason=reason,
            before=before,
            n=limit + 1,
        )
    lines = [DeliveryLine.model_validate(r, from_attributes=True) for r in found[:limit]]
    return Page(items=lines, next=lines[-1].id if len(found) > limit else None)


_DELIVERY = (
    "d.id, d.no, d.record, d.partner, d.state, d.reason, d.code, d.attempt, d.created_at, d.due, d.settled_at, "
    "d.marked_by is not null as marked, d.replay"
)


async def event(database: AsyncEngine, codec: Codec, which: str) -> Event:
    """One event by its id (UUID) or number. Its sealed blocks stay sealed. Raises NotFound."""
    async with transaction(database) as connection:
        row = await _event_row(connection, which)
        found = await rows(
            connection,
            f"select {_DELIVERY} from delivery d where d.no = :no order by d.partner, d.replay",
            no=row.no,
        )
    clear, sealed = _opened(codec, row.body)
    return Event(
        **{name: getattr(row, name) for name in _EVENT},
        person=row.root,
        place=f"{row.topic}/{row.part}@{row.log_offset}" if row.topic else None,
        configuration=row.routed_under,
        fields=clear,
        sealed=sealed,
        deliveries=[DeliveryLine.model_validate(r, from_attributes=True) for r in found],
    )


_EVENT = (
    "no", "id", "source", "source_event_id", "record", "version", "emitter", "flow", "territory", "journey", "causation",
    "matter", "occurred_at", "accepted_at", "published_at", "routed_at", "facts",
)  # fmt: skip


async def _event_row(connection: AsyncConnection, which: str) -> Any:
    condition, key = "e.no = cast(:key as bigint)", which
    if not which.isdecimal() or len(which) > 18:
        try:
            condition, key = "e.id = cast(:key as uuid)", UUID(which)
        except ValueError:
            raise NotFound("an event is named by its id (UUID) or its number") from None
    found = await rows(
        connection,
        "select e.*, w.person as root, w.published_at, w.topic, w.part, w.log_offset, w.routed_at, w.routed_under "
        f"from event e join event_way w on w.no = e.no where {condition}",
        key=int(key) if isinstance(key, str) else key,
    )
    if not found:
        raise NotFound(f"no event {which} was accepted here")
    return found[0]


def _opened(codec: Codec, body: bytes | None) -> tuple[dict[str, Any] | None, dict[str, int]]:
    """The clear fields as JSON holds them, and the sizes of sealed blocks; None once the body is erased."""
    if body is None:
        return None, {}
    value = codec.decode(bytes(body)).value
    sealed = {name: len(item) for name, item in value.items() if isinstance(item, bytes)}
    return {name: _plain(item) for name, item in value.items() if name not in sealed}, sealed


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, UUID) else value


async def findings(database: AsyncEngine, *, closed: bool = False) -> list[FindingLine]:
    """Open findings, or with `closed` all of them."""
    async with transaction(database) as connection:
        return [
            FindingLine(
                id=r.id,
                at=r.at,
                kind=r.kind,
                place=f"{r.topic}/{r.part}@{r.log_offset}",
                event_id=r.event_id,
                closed_at=r.closed_at,
                who=r.who,
                reason=r.reason,
            )
            for r in await rows(
                connection,
                "select * from finding where :closed or closed_at is null order by id",
                closed=closed,
            )
        ]


async def close_finding(database: AsyncEngine, id: int, reason: str, who: str) -> None:
    """A person has explained it; it counts no longer. Raises NotFound when there is no such open finding."""
    async with transaction(database) as connection:
        closed = await run(
            connection,
            "update finding set closed_at = clock_timestamp(), who = :who, reason = :reason where id = :id and closed_at is null",
            id=id,
            who=who,
            reason=reason,
        )
    if not closed:
        raise NotFound(f"there is no open finding {id}")
