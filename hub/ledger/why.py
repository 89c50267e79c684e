"""`hub why EVENT PARTNER`: the chain of decisions from accept to the last answer, in sentences, without personal data."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.ledger.reconcile import configuration_of
from hub.rights.configuration import Configuration
from hub.rights.route import Facts, table
from hub.store.database import rows, transaction


class Step(BaseModel):
    """One decision: when (aware), what, and the details that a program may want."""

    at: datetime | None
    what: str
    details: dict[str, Any] = Field(default_factory=dict)


class Explanation(BaseModel):
    """The answer. `outcome` is the state of the newest row, "not_concerned", "not_routed" or "not_accepted"."""

    event: str
    partner: str
    outcome: str
    reason: str | None = None
    steps: list[Step]


async def why(database: AsyncEngine, event: str, partner: str) -> Explanation:
    """Explain what became of an event at a partner. `event` is an event id or a number (`no`). Raises LookupError."""
    async with transaction(database) as connection:
        found = await rows(
            connection,
            "select e.*, w.person as root, w.published_at, w.topic, w.part, w.log_offset, w.routed_at, w.routed_under, w.route_version, "
            "w.routed_from_sql from event e join event_way w on w.no = e.no where " + _which(event),
            key=_key(event),
        )
        if not found:
            raise LookupError(f"no event {event} was accepted here")
        row = found[0]
        steps = [_accepted(row), *_way(row)]
        if row.routed_at is None:
            return Explanation(event=str(row.id), partner=partner, outcome="not_routed", steps=steps)
        configuration = await configuration_of(connection, row.routed_under)
        deliveries = await rows(
            connection,
            "select d.*, m.fields from delivery d left join message m on m.delivery = d.id "
            "where d.no = :no and d.partner = :p order by d.replay",
            no=row.no,
            p=partner,
        )
        if not deliveries:
            reason = not_concerned(Facts.from_json(row.facts), configuration, partner)
            steps.append(Step(at=row.routed_at, what=reason, details={"configuration": row.routed_under}))
            return Explanation(
                event=str(row.id), partner=partner, outcome="not_concerned", reason=reason, steps=steps
            )
        for delivery in deliveries:
            steps += await _delivery(connection, delivery, row)
        last = deliveries[-1]
        return Explanation(
            event=str(row.id), partner=partner, outcome=last.state, reason=last.reason, steps=steps
        )


def _which(event: str) -> str:
    return "e.no = cast(:key as bigint)" if event.isdecimal() else "e.id = cast(:key as uuid)"


def _key(event: str) -> Any:
    if event.isdecimal():
        return int(event)
    try:
        return UUID(event)
    except ValueError:
        raise LookupError("an event is named by its id (UUID) or its number") from None


def _accepted(row: Any) -> Step:
    return Step(
        at=row.accepted_at,
        what=f"accepted from partner {row.emitter} ({row.flow}) as {row.record} number {row.no}",
        details={"source_event_id": row.source_event_id, "batch": row.batch, "facts": row.facts},
    )


def _way(row: Any) -> list[Step]:
    steps = []
    if row.published_at is not None:
        steps.append(
            Step(
                at=row.published_at,
                what=f"published to {row.topic}, partition {row.part}, offset {row.log_offset}",
            )
        )
    elif row.body is not None:
        steps.append(Step(at=None, what="not published yet: the relay waits for the broker"))
    if row.routed_at is not None:
        how = "from SQL, because dispatch had not read it in time" if row.routed_from_sql else "by dispatch"
        steps.append(
            Step(
                at=row.routed_at,
                what=f"routed {how} under configuration {row.routed_under}",
                details={"configuration": row.routed_under, "route_version": row.route_version},
            )
        )
    else:
        steps.append(Step(at=None, what="not routed yet"))
    return steps


def not_concerned(facts: Facts, configuration: Configuration, partner: str) -> str:
    """Why no row was made for this partner."""
    known = configuration.partner(partner)
    kind = configuration.kind_of(partner)
    if known is None or kind is None:
        return "not concerned: the configuration of that moment did not know this partner"
    if not known.active(facts.accepted_on):
        return "not concerned: the partner had been removed"
    row = table().records.get(facts.record)
    tests = row.to.get(kind) if row else None
    if not tests:
        return f"not concerned: a {kind} never receives {facts.record}"
    return (
        f"not concerned: a {kind} receives {facts.record} only under {', '.join(sorted(tests))}, "
        "and none of these held for this person and partner just before the event"
    )


async def _delivery(connection: AsyncConnection, delivery: Any, event: Any) -> list[Step]:
    title = f"replay {delivery.replay}: " if delivery.replay else ""
    steps = [
        Step(
            at=delivery.created_at,
            what=f"{title}concerned, delivery {delivery.id} born {delivery.initial}"
            + (f": {table().reasons[delivery.reason]}" if delivery.initial == "withheld" else ""),
        )
    ]
    for line in await rows(
        connection, "select * from delivery_log where delivery = :d order by id", d=delivery.id
    ):
        steps.append(
            Step(
                at=line.at,
                what=f"{title}{_line(line)}",
                details={
                    name: getattr(line, name)
                    for name in (
                        "attempt",
                        "code",
                        "duration_ms",
                        "configuration",
                        "connector_version",
                        "who",
                    )
                    if getattr(line, name) is not None
                },
            )
        )
    if delivery.state == "delivered" and delivery.attempt == 1:
        steps.append(
            Step(
                at=delivery.settled_at,
                what=f"{title}delivered at the first attempt",
                details={"ack": delivery.ack, "configuration": delivery.configuration},
            )
        )
    if delivery.fields is not None:
        steps.append(
            Step(
                at=delivery.claimed_at,
                what=f"{title}the message was composed from {len(delivery.fields)} fields",
                details={"fields": delivery.fields, "message_hash": delivery.message_hash.hex()},
            )
        )
    steps += await _open(connection, delivery, title)
    if delivery.state not in ("waiting", "sending", "human") and delivery.marked_by is not None:
        steps.append(Step(at=delivery.marked_at, what=f"{title}closed, but it may have been applied"))
    return steps


def _line(line: Any) -> str:
    reason = f"({line.reason})" if line.reason else ""
    if line.note == "stale":
        return f"answer of attempt {line.attempt} came too late and changed nothing: {line.to_state}{reason}"
    if line.from_state == "sending":
        code = f", code {line.code}" if line.code else ""
        return f"attempt {line.attempt}: {line.to_state}{reason}{code}"
    return f"{line.from_state} → {line.to_state}{reason}"


async def _open(connection: AsyncConnection, delivery: Any, title: str) -> list[Step]:
    """What an open delivery waits for."""
    if delivery.state == "human":
        return [Step(at=None, what=f"{title}needs a human: {delivery.reason}")]
    if delivery.state == "sending":
        return [Step(at=delivery.claimed_at, what=f"{title}attempt {delivery.attempt} is under way")]
    if delivery.state != "waiting":
        return []
    steps = []
    ahead = await rows(
        connection,
        "select count(*) as n, min(no) as first from delivery where person = :person and partner = :p "
        "and state in ('waiting', 'sending', 'human') and (no, replay) < (:no, :replay)",
        person=delivery.person,
        p=delivery.partner,
        no=delivery.no,
        replay=delivery.replay,
    )
    if ahead[0].n:
        steps.append(
            Step(
                at=None,
                what=f"{title}waits behind {ahead[0].n} older of its lane, the first is event {ahead[0].first}",
            )
        )
    for pause in await rows(
        connection,
        "select * from pause where partner = :p and (until is null or until > (select hub_now()))",
        p=delivery.partner,
    ):
        steps.append(
            Step(
                at=pause.since,
                what=f"{title}the partner is paused: {pause.reason}",
                details={"until": pause.until},
            )
        )
    due = f", next attempt {delivery.due.isoformat()}" if delivery.due else ""
    steps.append(Step(at=None, what=f"{title}waits ({delivery.reason}){due}"))
    return steps
