"""Reconcile: a proof that every event is accounted for, not a sum (protocol.md §8).

(a) intake adds up · (b) every event is published and routed, or shown with its age · (c) `route` run again gives exactly
the live rows · (d) the state is the fold of the log · (e) with a scan: the log holds each event once at least, with its
hash, and nothing unknown. `unaccounted` counts findings; what waits or needs a human is accounted, with its age.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery.routing import write_finding
from hub.log.scan import Seen
from hub.rights.configuration import Configuration
from hub.rights.route import Erase, Facts, Verdict, Withhold, route
from hub.store.database import rows, run, scalar, transaction, unbounded

CHUNK = 5000
SHOWN = 50


class Finding(BaseModel):
    """One thing that does not add up. `check` is the letter of protocol.md §8."""

    check: str
    what: str
    event: int | None = None
    partner: str | None = None
    place: str | None = None


class Waiting(BaseModel):
    """What is open and accounted for: counted by state and reason, with the age of the oldest in seconds."""

    partner: str
    state: str
    reason: str | None
    count: int
    oldest_seconds: int


class Reconciliation(BaseModel):
    """The result. `findings` holds the first 50; `unaccounted` counts all."""

    events: int = 0
    published: int = 0
    routed: int = 0
    deliveries: int = 0
    scanned: int | None = None
    repeated: int | None = None
    republished: int | None = None
    unaccounted: int = 0
    findings: list[Finding] = Field(default_factory=list)
    unpublished: int = 0
    unrouted: int = 0
    oldest_unrouted_seconds: int = 0
    waiting: list[Waiting] = Field(default_factory=list)
    states: dict[str, int] = Field(default_factory=dict)

    def add(self, check: str, what: str, **place: Any) -> None:
        """Count a finding; keep the first ones."""
        self.unaccounted += 1
        if len(self.findings) < SHOWN:
            self.findings.append(Finding(check=check, what=what, **place))


async def reconcile(
    database: AsyncEngine, scan: AsyncIterator[Seen] | None = None, *, republish: bool = True
) -> Reconciliation:
    """Run all checks. With `scan` (every record now on the log) also (e); what the log lacks is then published again."""
    result = Reconciliation()
    async with transaction(database) as connection:
        await unbounded(connection)
        await _intake(connection, result)
        await _way(connection, result)
        await _routes(connection, result)
        await _fold(connection, result)
        await _open(connection, result)
    if scan is not None:
        await _scan(database, result, scan, republish)
    async with transaction(database) as connection:
        for row in await rows(connection, "select * from finding where closed_at is null order by id"):
            result.add("e", f"{row.kind} record on the log", place=f"{row.topic}/{row.part}@{row.log_offset}")
    return result


async def _intake(connection: AsyncConnection, result: Reconciliation) -> None:
    """(a) items known beforehand = accepted + duplicate + unchanged + rejected + dropped + refused, per batch. What the
    hub says itself with an item (IdentityLinked) is none of the sender's."""
    for row in await rows(
        connection,
        """
        select b.id, b.known, coalesce(sum(v.value::int) filter (where v.key <> 'events'), 0) as counted,
               coalesce(max(v.value::int) filter (where v.key = 'events'), 0) as said,
               (select count(*) from event e where e.batch = b.id and e.emitter <> 'hub') as events
        from batch b left join jsonb_each_text(b.counts) v on true
        where b.state = 'complete' group by b.id order by b.id
        """,
    ):
        if row.known is not None and row.known != row.counted:
            result.add("a", f"batch {row.id}: {row.known} items known, {row.counted} accounted for")
        if row.said != row.events:
            result.add("a", f"batch {row.id}: {row.said} events accepted, {row.events} are there")


async def _way(connection: AsyncConnection, result: Reconciliation) -> None:
    """(b) every event has its way; what is on it is shown with its age, what cannot be is a finding."""
    row = (
        await rows(
            connection,
            """
            select count(*) as events, count(w.published_at) as published, count(w.routed_at) as routed,
                   count(*) filter (where w.no is null) as lost,
                   count(*) filter (where w.published_at is null and e.body is not null) as unpublished,
                   count(*) filter (where w.routed_at is null) as unrouted,
                   coalesce(extract(epoch from clock_timestamp() - min(e.accepted_at) filter (where w.routed_at is null)), 0)::int as age
            from event e left join event_way w on w.no = e.no
            """,
        )
    )[0]
    result.events, result.published, result.routed = row.events, row.published, row.routed
    result.unpublished, result.unrouted, result.oldest_unrouted_seconds = (
        row.unpublished,
        row.unrouted,
        row.age,
    )
    for missing in await rows(
        connection, "select e.no from event e left join event_way w on w.no = e.no where w.no is null"
    ):
        result.add("b", "the event has no way: it will neither be published nor routed", event=missing.no)


async def _routes(connection: AsyncConnection, result: Reconciliation) -> None:
    """(c) the set (event, partner, verdict) of re-running `route` equals the live rows."""
    configurations: dict[int, Configuration] = {}
    after = 0
    while True:
        events = await rows(
            connection,
            """
            select e.no, e.facts, w.routed_under, w.routed_at, p.erasing_at is not null as erasing
            from event e join event_way w on w.no = e.no join person p on p.id = w.person
            where e.no > :after order by e.no limit :n
            """,
            after=after,
            n=CHUNK,
        )
        if not events:
            return
        live: dict[int, dict[str, tuple[str, str | None]]] = {}
        for row in await rows(
            connection,
            "select no, partner, initial, case when initial = 'withheld' then reason end as reason, state from delivery "
            "where replay = 0 and no > :after and no <= :upto",
            after=after,
            upto=events[-1].no,
        ):
            live.setdefault(row.no, {})[row.partner] = (row.initial, row.reason)
            result.deliveries += 1
        for event in events:
            have = live.pop(event.no, {})
            if event.routed_at is None:
                want: dict[str, tuple[str, str | None]] = {}
            else:
                if event.routed_under not in configurations:
                    configurations[event.routed_under] = await configuration_of(
                        connection, event.routed_under
                    )
                configuration = configurations[event.routed_under]
                want = {
                    r.partner: _birth(r.verdict) for r in route(Facts.from_json(event.facts), configuration)
                }
            _compare(result, event, want, have)
        after = events[-1].no


async def configuration_of(connection: AsyncConnection, version: int) -> Configuration:
    """One immutable version of a configuration."""
    document = await scalar(connection, "select document from configuration where version = :v", v=version)
    return Configuration.model_validate(document)


def _birth(verdict: Verdict) -> tuple[str, str | None]:
    match verdict:
        case Withhold(reason):
            return "withheld", reason
        case Erase():
            return "erased", None
        case _:
            return "waiting", None


def _compare(
    result: Reconciliation,
    event: Any,
    want: dict[str, tuple[str, str | None]],
    have: dict[str, tuple[str, str | None]],
) -> None:
    if want == have:
        return
    for partner in sorted({*want, *have}):
        expected, found = want.get(partner), have.get(partner)
        if expected == found or (event.erasing and expected and found == ("erased", None)):
            continue
        if found is None:
            result.add("c", "a delivery is missing", event=event.no, partner=partner)
        elif expected is None:
            result.add("c", "a delivery that no rule gives", event=event.no, partner=partner)
        else:
            result.add(
                "c",
                f"verdict {_said(found)}, the rules give {_said(expected)}",
                event=event.no,
                partner=partner,
            )


def _said(verdict: tuple[str, str | None]) -> str:
    return f"{verdict[0]}({verdict[1]})" if verdict[1] else verdict[0]


async def _fold(connection: AsyncConnection, result: Reconciliation) -> None:
    """(d) the state is the fold of the log (claims are implied by the attempt's number, a first-try success stands in
    the row itself), delivered needs a settled attempt, and a lane's head that waits has a due."""
    for row in await rows(
        connection,
        """
        with line as (
            select delivery, from_state, to_state, attempt,
                   lag(to_state) over w as before, row_number() over w as n, count(*) over (partition by delivery) as lines
            from delivery_log where note is null window w as (partition by delivery order by id)
        ), broken as (
            select l.delivery from line l
            join delivery d on d.id = l.delivery
            where not exists (select 1 from delivery_transition t where t.from_state = l.from_state and t.to_state = l.to_state)
               or not (l.from_state = coalesce(l.before, d.initial)
                       or (l.from_state = 'sending' and coalesce(l.before, d.initial) = 'waiting'))
               or (l.n = l.lines and not (
                       l.to_state = d.state
                    or (l.to_state = 'waiting' and d.state = 'sending')
                    or (l.to_state = 'waiting' and d.state = 'delivered' and d.attempt = 1)))
        )
        select d.no, d.partner, 'the state is not what its log says' as what from broken b join delivery d on d.id = b.delivery
        union
        select d.no, d.partner, 'the state has no log' from delivery d
        where not exists (select 1 from delivery_log l where l.delivery = d.id and l.note is null)
          and not (d.state = d.initial
                   or (d.initial = 'waiting' and d.attempt = 1 and d.state in ('sending', 'delivered')))
        union
        select d.no, d.partner, 'delivered without a settled attempt' from delivery d
        where d.state = 'delivered' and (d.settled_at is null or d.attempt = 0)
        union
        select h.no, h.partner, 'the head of its lane waits without a due' from (
            select distinct on (person, partner) no, partner, state, reason, due from delivery
            where state in ('waiting', 'sending', 'human')
            order by person, partner, (state = 'sending') desc, (marked_by is not null) desc, no, replay
        ) h where h.state = 'waiting' and h.reason <> 'file' and h.due is null
        order by 1, 2
        """,
    ):
        result.add("d", row.what, event=row.no, partner=row.partner)


async def _open(connection: AsyncConnection, result: Reconciliation) -> None:
    result.waiting = [
        Waiting(partner=r.partner, state=r.state, reason=r.reason, count=r.count, oldest_seconds=r.age)
        for r in await rows(
            connection,
            """
            select partner, state, reason, count(*) as count,
                   greatest(0, extract(epoch from (select hub_now()) - min(created_at)))::int as age
            from delivery where state in ('waiting', 'sending', 'human') group by 1, 2, 3 order by 1, 2, 3
            """,
        )
    ]
    result.states = {
        r.state: r.count
        for r in await rows(connection, "select state, count(*) as count from delivery group by 1 order by 1")
    }


async def _scan(
    database: AsyncEngine, result: Reconciliation, scan: AsyncIterator[Seen], republish: bool
) -> None:
    """(e) every retained record is known with its hash; every published event with a body is found."""
    found: set[int] = set()
    result.scanned = result.repeated = result.republished = 0
    chunk: list[Seen] = []
    async for record in scan:
        chunk.append(record)
        if len(chunk) >= CHUNK:
            await _check_records(database, result, chunk, found)
            chunk = []
    await _check_records(database, result, chunk, found)
    await _check_lost(database, result, found, republish)


async def _check_records(
    database: AsyncEngine, result: Reconciliation, chunk: Sequence[Seen], found: set[int]
) -> None:
    if not chunk:
        return
    async with transaction(database) as connection:
        known = {
            r.id: r
            for r in await rows(
                connection,
                "select id, no, body_hash from event where id = any(cast(:ids as uuid[]))",
                ids=[s.event_id for s in chunk if s.event_id is not None],
            )
        }
        for record in chunk:
            result.scanned += 1
            event = known.get(record.event_id)
            if event is None:
                await write_finding(connection, record, "no_header" if record.event_id is None else "unknown")
            elif event.body_hash != record.value_hash:
                await write_finding(connection, record, "altered")
            elif event.no in found:
                result.repeated += 1
            else:
                found.add(event.no)


async def _check_lost(
    database: AsyncEngine, result: Reconciliation, found: set[int], republish: bool
) -> None:
    """What was published before the scan began and is not there any more: a finding, and published again."""
    lost = []
    async with transaction(database) as connection:
        await unbounded(connection)
        after = 0
        while True:
            published = await rows(
                connection,
                "select w.no from event_way w join event e on e.no = w.no where w.published_at is not null and e.body is not null "
                "and w.no > :after order by w.no limit :n",
                after=after,
                n=CHUNK,
            )
            if not published:
                break
            lost += [r.no for r in published if r.no not in found]
            after = published[-1].no
        for no in lost:
            result.add("e", "the log has lost this event", event=no)
        if lost and republish:
            result.republished = await run(
                connection,
                "update event_way set published_at = null, topic = null, part = null, log_offset = null where no = any(cast(:nos as bigint[]))",
                nos=lost,
            )
            await run(connection, "notify hub_relay")
