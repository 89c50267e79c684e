"""Dispatch's transaction: each event is routed once, under the configuration of that moment (protocol.md §3).

Reading a record again changes nothing, so zombies, rebalances and rewound offsets need no rule of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery import lane
from hub.delivery.desk import Desk
from hub.log.scan import Seen
from hub.rights.route import ROUTE_VERSION, Erase, Facts, Routed, Withhold, route
from hub.store.database import rows, run, transaction


async def route_records(database: AsyncEngine, desk: Desk, seen: Sequence[Seen]) -> Counter[str]:
    """Route what is not yet routed; what SQL does not know, or knows with other bytes, becomes a finding."""
    counts: Counter[str] = Counter()
    async with transaction(database) as connection:
        await lane.gate_shared(connection, await desk.all_locks(connection))
        await desk.refresh(connection)
        known = await _lock_events(connection, [s.event_id for s in seen if s.event_id is not None])
        fresh: dict[int, Any] = {}
        for record in seen:
            row = known.get(record.event_id)
            kind = "no_header" if record.event_id is None else "unknown" if row is None else None
            if kind is None and row.body_hash != record.value_hash:
                kind = "altered"
            if kind is not None:
                counts[kind] += await write_finding(connection, record, kind)
            elif row.routed_at is None:
                fresh[row.no] = row
            else:
                counts["again"] += 1
        counts["routed"] = await _route(connection, desk, list(fresh.values()), from_sql=False)
    return counts


async def route_from_sql(database: AsyncEngine, desk: Desk, older_than: float, limit: int = 500) -> int:
    """Route what was published and stayed unrouted for `older_than` seconds, and what has no body to publish (erased).

    The scheduler's net under the consumer: same lock, same function, counted and shown."""
    async with transaction(database) as connection:
        await lane.gate_shared(connection, await desk.all_locks(connection))
        await desk.refresh(connection)
        late = await rows(
            connection,
            """
            select e.no, e.id, e.territory, e.record, e.matter, e.facts, w.person, p.erasing_at
            from event_way w join event e on e.no = w.no join person p on p.id = w.person
            where w.routed_at is null and (e.body is null or w.published_at < clock_timestamp() - make_interval(secs => :age))
            order by w.no limit :n for update of w
            """,
            age=older_than,
            n=limit,
        )
        return await _route(connection, desk, late, from_sql=True)


async def _lock_events(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID | None, Any]:
    found = await rows(
        connection,
        """
        select e.no, e.id, e.territory, e.record, e.matter, e.facts, e.body_hash, w.person, w.routed_at, p.erasing_at
        from event e join event_way w on w.no = e.no join person p on p.id = w.person
        where e.id = any(cast(:ids as uuid[])) order by e.no for update of w
        """,
        ids=list(ids),
    )
    return {r.id: r for r in found}


async def write_finding(connection: AsyncConnection, record: Seen, kind: str) -> int:
    """Keep where a record that is not ours, or no longer ours, stands on the log. Idempotent."""
    return await run(
        connection,
        "insert into finding (topic, part, log_offset, kind, event_id, value_hash) "
        "values (:topic, :part, :offset, :kind, :id, :hash) on conflict do nothing",
        topic=record.topic,
        part=record.part,
        offset=record.offset,
        kind=kind,
        id=record.event_id,
        hash=record.value_hash,
    )


async def _route(connection: AsyncConnection, desk: Desk, events: Sequence[Any], *, from_sql: bool) -> int:
    """Insert one delivery per concerned partner and set the events' routed marks."""
    if not events:
        return 0
    born: list[tuple[int, str, UUID, str, str | None, str, str | None]] = []
    for event in events:
        configuration = desk.configuration(event.territory)
        for routed in route(Facts.from_json(event.facts), configuration):
            state, reason = _birth(desk, routed, erasing=event.erasing_at is not None)
            born.append((event.no, routed.partner, event.person, event.record, event.matter, state, reason))
    if born:
        nos, partners, persons, records, matters, states, reasons = zip(*born, strict=True)
        await run(
            connection,
            """
            insert into delivery (no, partner, person, record, matter, initial, state, reason, created_at, due)
            select u.no, u.partner, u.person, u.record, u.matter, u.state, u.state, u.reason, (select hub_now()),
                   case when u.state = 'waiting' and u.reason <> 'file' then (select hub_now()) end
            from unnest(cast(:nos as bigint[]), cast(:partners as text[]), cast(:persons as uuid[]), cast(:records as text[]),
                        cast(:matters as text[]), cast(:states as text[]), cast(:reasons as text[]))
                 as u(no, partner, person, record, matter, state, reason)
            """,
            nos=list(nos),
            partners=list(partners),
            persons=list(persons),
            records=list(records),
            matters=list(matters),
            states=list(states),
            reasons=list(reasons),
        )
    await run(
        connection,
        """
        update event_way w set routed_at = clock_timestamp(), routed_under = u.version, route_version = :engine, routed_from_sql = :sql
        from unnest(cast(:nos as bigint[]), cast(:versions as int[])) as u(no, version) where w.no = u.no
        """,
        nos=[e.no for e in events],
        versions=[desk.version(e.territory) for e in events],
        engine=ROUTE_VERSION,
        sql=from_sql,
    )
    await run(connection, "notify hub_due")
    return len(events)


def _birth(desk: Desk, routed: Routed, *, erasing: bool) -> tuple[str, str | None]:
    """The state in which a concerned partner's row is born."""
    if erasing or isinstance(routed.verdict, Erase):
        return "erased", None
    if isinstance(routed.verdict, Withhold):
        return "withheld", routed.verdict.reason
    return "waiting", "file" if desk.by_file(routed.partner) else "new"
