"""What a sender may know of its event afterwards: what became of it at those whom it named itself, and at nobody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.ledger.states import open_states
from hub.store.database import rows, transaction

Status = Literal["received", "refused", "not_yet", "not_sent", "superseded", "unknown"]

#: Withheld reasons that concern the two organisations and tell nothing about the person.
_TELLABLE = frozenset({"no_agreement", "before_pilot_date", "expired", "nothing_to_say", "partner_removed"})


class Addressee(BaseModel):
    """One partner that the event named. `code` is the addressee's code of a refusal; `reason` why nothing was sent, when
    it tells nothing about the person. `unknown`: it may have got it, nobody could find out."""

    partner: str
    status: Status
    at: datetime | None = None
    code: str | None = None
    reason: str | None = None


class Receipt(BaseModel):
    """An accepted event as its sender sees it. Times are UTC."""

    id: UUID
    source_event_id: str
    type: str
    sequence: int
    accepted_at: datetime
    addressees: list[Addressee]


async def receipt(database: AsyncEngine, event: UUID, emitter: str) -> Receipt | None:
    """The event, if this partner sent it by itself."""
    async with transaction(database) as connection:
        found = await rows(
            connection,
            "select e.no, e.id, e.source_event_id, e.accepted_at, e.facts, "
            "s.definition ->> 'namespace' as namespace, e.record, e.version, w.routed_at "
            "from event e join event_way w on w.no = e.no join schema s on s.record = e.record and s.version = e.version "
            "where e.id = :id and e.emitter = :emitter",
            id=event,
            emitter=emitter,
        )
        if not found:
            return None
        row = found[0]
        named = sorted({row.facts.get("addressee"), row.facts.get("structure")} - {None, emitter})
        deliveries = {
            d.partner: d
            for d in await rows(
                connection,
                "select partner, state, reason, code, marked_by, settled_at, attempt from delivery "
                "where no = :no and replay = 0 and partner = any(cast(:named as text[]))",
                no=row.no,
                named=named,
            )
        }
    return Receipt(
        id=row.id,
        source_event_id=row.source_event_id,
        type=f"{row.namespace}.{row.record}.v{row.version}",
        sequence=row.no,
        accepted_at=row.accepted_at,
        addressees=[_addressee(p, deliveries.get(p), routed=row.routed_at is not None) for p in named],
    )


def _addressee(partner: str, delivery: Any | None, *, routed: bool) -> Addressee:
    if delivery is None:
        return Addressee(partner=partner, status="not_sent" if routed else "not_yet")
    if delivery.state == "delivered":
        return Addressee(partner=partner, status="received", at=delivery.settled_at)
    if delivery.state == "refused":
        return Addressee(partner=partner, status="refused", at=delivery.settled_at, code=delivery.code)
    if delivery.state in open_states():
        return Addressee(partner=partner, status="not_yet")
    if delivery.marked_by is not None:
        return Addressee(partner=partner, status="unknown", at=delivery.settled_at)
    if delivery.state == "superseded":
        return Addressee(partner=partner, status="superseded", at=delivery.settled_at)
    reason = delivery.reason if delivery.reason in _TELLABLE else None
    return Addressee(partner=partner, status="not_sent", reason=reason)
