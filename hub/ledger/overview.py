"""The hub at a glance, counted in SQL: what came in, what left, what waits and why. Ids and codes, no personal data.

The page, the metrics and anything else that counts read this, so that all say the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.store.database import rows, transaction


class Traffic(BaseModel):
    """Since the beginning, and of the last hour and day."""

    total: int = 0
    hour: int = 0
    day: int = 0


class Pending(BaseModel):
    """What is on its way: how many, and the age of the oldest in seconds."""

    count: int = 0
    oldest_seconds: int = 0


class Pause(BaseModel):
    """Why a partner gets nothing now. `until` None = until a person resumes it."""

    kind: str
    reason: str
    since: datetime
    until: datetime | None
    who: str


class Reason(BaseModel):
    """Deliveries in one state for one reason. Withheld ones are closed, so their age says nothing."""

    state: str
    reason: str
    count: int
    oldest_seconds: int
    partners: int


class PartnerLine(BaseModel):
    """One partner: what holds it, and its deliveries by state."""

    id: str
    territory: str
    kind: str
    connector: str
    loaded: bool
    removed: bool
    pauses: list[Pause]
    states: dict[str, int]
    oldest_open_seconds: int

    @property
    def open(self) -> int:
        """Waiting or being sent."""
        return self.states.get("waiting", 0) + self.states.get("sending", 0)


class Overview(BaseModel):
    """All of it, at one moment (aware)."""

    at: datetime
    accepted: Traffic
    delivered: Traffic
    unpublished: Pending
    unrouted: Pending
    routed_from_sql: int
    reasons: list[Reason]
    partners: list[PartnerLine]
    findings: int
    reviews: int

    def of(self, state: str) -> list[Reason]:
        """The reasons of one state, most frequent first."""
        return sorted((r for r in self.reasons if r.state == state), key=lambda r: (-r.count, r.reason))


_TOTALS = """
with events as (
    select count(*) as total,
           count(*) filter (where accepted_at > clock_timestamp() - interval '1 hour') as hour,
           count(*) filter (where accepted_at > clock_timestamp() - interval '1 day') as day
    from event
), waits as (
    select count(*) filter (where w.published_at is null and e.body is not null) as unpublished,
           min(e.accepted_at) filter (where w.published_at is null and e.body is not null) as unpublished_since,
           count(*) filter (where w.routed_at is null) as unrouted,
           min(e.accepted_at) filter (where w.routed_at is null) as unrouted_since
    from event_way w join event e on e.no = w.no where w.published_at is null or w.routed_at is null
), sent as (
    select count(*) as total,
           count(*) filter (where settled_at > (select hub_now()) - interval '1 hour') as hour,
           count(*) filter (where settled_at > (select hub_now()) - interval '1 day') as day
    from delivery where state = 'delivered'
)
select clock_timestamp() as at, e.total, e.hour, e.day, s.total as sent_total, s.hour as sent_hour, s.day as sent_day,
       w.unpublished, coalesce(extract(epoch from clock_timestamp() - w.unpublished_since), 0)::int as unpublished_age,
       w.unrouted, coalesce(extract(epoch from clock_timestamp() - w.unrouted_since), 0)::int as unrouted_age,
       (select count(*) from event_way where routed_from_sql) as routed_from_sql,
       (select count(*) from finding where closed_at is null) as findings,
       (select count(*) from review where decided_at is null) as reviews
from events e, sent s, waits w
"""

_DELIVERIES = """
select partner, state, case when state in ('waiting', 'human', 'withheld') then reason end as reason, count(*) as count,
       greatest(0, extract(epoch from (select hub_now()) - min(created_at)))::int as age
from delivery group by 1, 2, 3
"""

_PARTNERS = """
with newest as (
    select distinct on (territory) territory, document from configuration order by territory, version desc
), organisation as (
    select n.territory, o ->> 'id' as id, o ->> 'kind' as kind from newest n, jsonb_array_elements(n.document -> 'organisations') o
), member as (
    select n.territory, q ->> 'id' as id, q ->> 'organisation' as organisation
    from newest n, jsonb_array_elements(n.document -> 'partners') q
)
select p.id, p.territory, p.connector, p.loaded, p.removed_at is not null as removed, o.kind,
       (select coalesce(jsonb_agg(jsonb_build_object('kind', z.kind, 'reason', z.reason, 'since', z.since, 'until', z.until,
                                                     'who', z.who) order by z.since), '[]')
        from pause z where z.partner = p.id and (z.until is null or z.until > (select hub_now()))) as pauses
from partner p
left join member m on m.territory = p.territory and m.id = p.id
left join organisation o on o.territory = p.territory and o.id = m.organisation
order by p.id
"""


async def overview(database: AsyncEngine) -> Overview:
    """Count. One pass over deliveries and one over events: not for every request, see `hub.gateway.glance`."""
    async with transaction(database) as connection:
        total = (await rows(connection, _TOTALS))[0]
        counted = await rows(connection, _DELIVERIES)
        partners = await _partners(connection, counted)
    return Overview(
        at=total.at,
        accepted=Traffic(total=total.total, hour=total.hour, day=total.day),
        delivered=Traffic(total=total.sent_total, hour=total.sent_hour, day=total.sent_day),
        unpublished=Pending(count=total.unpublished, oldest_seconds=total.unpublished_age),
        unrouted=Pending(count=total.unrouted, oldest_seconds=total.unrouted_age),
        routed_from_sql=total.routed_from_sql,
        reasons=_reasons(counted),
        partners=partners,
        findings=total.findings,
        reviews=total.reviews,
    )


def _reasons(counted: list[Any]) -> list[Reason]:
    found: dict[tuple[str, str], Reason] = {}
    for row in counted:
        if row.reason is None:
            continue
        line = found.setdefault(
            (row.state, row.reason),
            Reason(state=row.state, reason=row.reason, count=0, oldest_seconds=0, partners=0),
        )
        line.count += row.count
        line.partners += 1
        line.oldest_seconds = max(line.oldest_seconds, row.age)
    return list(found.values())


async def _partners(connection: AsyncConnection, counted: list[Any]) -> list[PartnerLine]:
    states: dict[str, dict[str, int]] = {}
    oldest: dict[str, int] = {}
    for row in counted:
        of = states.setdefault(row.partner, {})
        of[row.state] = of.get(row.state, 0) + row.count
        if row.state in ("waiting", "sending", "human"):
            oldest[row.partner] = max(oldest.get(row.partner, 0), row.age)
    return [
        PartnerLine(
            id=r.id,
            territory=r.territory,
            kind=r.kind or "",
            connector=r.connector,
            loaded=r.loaded,
            removed=r.removed,
            pauses=r.pauses,
            states=states.get(r.id, {}),
            oldest_open_seconds=oldest.get(r.id, 0),
        )
        for r in await rows(connection, _PARTNERS)
    ]
