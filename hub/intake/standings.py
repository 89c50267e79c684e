"""Journeys, relations and earlier requests in the database, for the persons of one accepting transaction."""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.intake.standing import Journey, OpenRelation, Request, Standing
from hub.log.codec import Codec
from hub.people.store import People
from hub.store.database import rows, run


async def load_requests(
    connection: AsyncConnection, partner: str, measure_ids: Set[str]
) -> tuple[dict[str, Request], set[str]]:
    """The measure requests quoted by their id, and which of them this partner was a recipient of (rule 0 of events.md):
    addressed to it, or delivered to it and not withheld."""
    if not measure_ids:
        return {}, set()
    found = await rows(
        connection,
        """
        select e.matter, p.root as person, e.emitter, e.facts,
               exists (select 1 from delivery d where d.no = e.no and d.partner = :partner and d.state <> 'withheld') as told
        from event e join person p on p.id = e.person
        where e.matter = any(cast(:matters as text[])) and e.record = 'MeasureRequested' order by e.no
        """,
        partner=partner,
        matters=[f"MeasureRequested|{measure}" for measure in measure_ids],
    )
    requests, given = {}, set()
    for row in found:
        measure = row.matter.partition("|")[2]
        expires_on = row.facts.get("expires_on")
        requests[measure] = Request(
            row.person,
            row.facts.get("addressee"),
            row.emitter,
            row.facts.get("measure_type"),
            date.fromisoformat(expires_on) if expires_on else None,
        )
        if row.told or row.facts.get("addressee") == partner:
            given.add(measure)
    return requests, given


async def load_standings(connection: AsyncConnection, codec: Codec, people: People) -> dict[UUID, Standing]:
    """What is open about persons whose locks are held."""
    standings = {
        person.id: Standing(person.id, restricted=person.restricted, objections=person.objections)
        for person in people.by_id.values()
    }
    if not standings:
        return standings
    ids = list(standings)
    for row in await rows(
        connection,
        "select * from journey where person = any(cast(:ids as uuid[])) and closed_no is null",
        ids=ids,
    ):
        standings[row.person].journeys.append(
            Journey(row.id, row.kind, bytes(row.payer) if row.payer else None, row.opened_no, row.opened_on)
        )
    for row in await rows(
        connection,
        "select * from relation where person = any(cast(:ids as uuid[])) and to_no is null order by from_no",
        ids=ids,
    ):
        standings[row.person].relations.append(
            OpenRelation(row.partner, row.kind, row.key, row.from_no, None, row.id)
        )
    for row in await rows(
        connection,
        "select distinct on (person) person, body from event where person = any(cast(:ids as uuid[])) "
        "and record = 'OrientationDecided' and body is not null order by person, no desc",
        ids=ids,
    ):
        decided = codec.decode(row.body).value
        standings[row.person].orientation = {k: decided[k] for k in ("parcours", "organism", "decided_on")}
    return standings


async def write_standings(connection: AsyncConnection, standings: Iterable[Standing]) -> None:
    """Store journeys and relations opened and closed; closings first, so that one may be opened in their place."""
    journeys = [(s.person, j) for s in standings for j in s.journeys]
    relations = [(s.person, r) for s in standings for r in s.relations]
    closed = [j for _, j in journeys if j.closed_no is not None and not j.new]
    if closed:
        await run(
            connection,
            "update journey j set closed_no = u.no from unnest(cast(:ids as uuid[]), cast(:nos as bigint[])) as u(id, no) where j.id = u.id",
            ids=[j.id for j in closed],
            nos=[j.closed_no for j in closed],
        )
    ended = [r for _, r in relations if r.to_no is not None and r.id is not None]
    if ended:
        await run(
            connection,
            "update relation r set to_no = u.no from unnest(cast(:ids as bigint[]), cast(:nos as bigint[])) as u(id, no) where r.id = u.id",
            ids=[r.id for r in ended],
            nos=[r.to_no for r in ended],
        )
    opened = [(person, j) for person, j in journeys if j.new]
    if opened:
        await run(
            connection,
            "insert into journey (id, person, kind, payer, opened_no, opened_on, closed_no) select * from unnest(cast(:ids as uuid[]), "
            "cast(:persons as uuid[]), cast(:kinds as text[]), cast(:payers as bytea[]), cast(:opened as bigint[]), cast(:days as date[]), "
            "cast(:closed as bigint[]))",
            ids=[j.id for _, j in opened],
            persons=[person for person, _ in opened],
            kinds=[j.kind for _, j in opened],
            payers=[j.payer for _, j in opened],
            opened=[j.opened_no for _, j in opened],
            days=[j.opened_on for _, j in opened],
            closed=[j.closed_no for _, j in opened],
        )
    made = [(person, r) for person, r in relations if r.id is None]
    if made:
        await run(
            connection,
            "insert into relation (person, partner, kind, key, from_no, to_no) select * from unnest(cast(:persons as uuid[]), "
            "cast(:partners as text[]), cast(:kinds as text[]), cast(:keys as text[]), cast(:from_nos as bigint[]), cast(:to_nos as bigint[]))",
            persons=[person for person, _ in made],
            partners=[r.partner for _, r in made],
            kinds=[r.kind for _, r in made],
            keys=[r.key for _, r in made],
            from_nos=[r.from_no for _, r in made],
            to_nos=[r.to_no for _, r in made],
        )
