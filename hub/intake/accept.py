"""Accept: the only way in. One transaction per batch; each item succeeds or is refused alone; the receipt means durable.

Persons are locked first, event numbers are drawn after the lock, so for one person `no` follows commit order
(protocol.md §1). The source's own memory and the batch's progress are written by `within` in the same transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery.desk import Desk, today
from hub.intake.build import Builder, Row
from hub.intake.results import CONFLICT, Accepted, Incoming, NotTaken, Result
from hub.intake.standings import load_requests, load_standings, write_standings
from hub.log.registry import FileRegistry
from hub.people import store as people_store
from hub.people.identity import normalise
from hub.people.matching import Reference
from hub.people.store import Again
from hub.store.database import lost_race, rows, run, transaction

TRIES = 8

Within = Callable[[AsyncConnection, Sequence[Result]], Awaitable[None]]


class Acceptor:
    """Takes batches of one partner's flow. Safe to use from many tasks and processes at once."""

    def __init__(
        self, database: AsyncEngine, desk: Desk, registry: FileRegistry, *, allow_real_data: bool = False
    ) -> None:
        self.database, self.desk, self.registry = database, desk, registry
        self.allow_real_data = allow_real_data

    async def accept(
        self,
        partner: str,
        flow: str,
        items: Sequence[Incoming],
        *,
        batch: int | None = None,
        file: str | None = None,
        within: Within | None = None,
    ) -> list[Result]:
        """One result per item, in order. When it returns, what was accepted is durable, also while Kafka is down.

        Raises NoRoom when the database has none (nothing kept), KeyError for a partner that no configuration names.
        """
        for attempt in range(TRIES):
            try:
                async with transaction(self.database) as connection:
                    await self.desk.refresh(connection)
                    results = await self._accept(connection, partner, flow, items, batch, file)
                    if within is not None:
                        await within(connection, results)
                    if any(isinstance(r, Accepted) and not r.again for r in results):
                        await run(connection, "notify hub_relay")
                return results
            except Again:
                continue
            except DBAPIError as error:
                if not lost_race(error) or attempt == TRIES - 1:
                    raise
                await asyncio.sleep(random.random() * 0.02 * (attempt + 1))
        raise RuntimeError("persons of this batch were merged again and again; send it once more")

    async def _accept(
        self,
        connection: AsyncConnection,
        partner: str,
        flow: str,
        items: Sequence[Incoming],
        batch: int | None,
        file: str | None,
    ) -> list[Result]:
        desk = self.desk.partner(partner)
        ids = [i.source_event_id or self.desk.master.source_id(desk.territory, *i.draft.key) for i in items]
        bodies = [self.desk.master.canonical(i.body()) for i in items]
        builder = Builder(
            self.desk.configuration(desk.territory), desk.connector, partner, flow, file, self.allow_real_data,
            self.registry, self.desk.codec, self.desk.master,
        )  # fmt: skip
        results = await _known(connection, builder.source, ids, bodies)
        fresh = [n for n, result in enumerate(results) if result is None]
        if fresh:
            chosen = [items[n] for n in fresh]
            work = await self._read(connection, builder, chosen)
            for n, item, (identity, reference) in zip(fresh, chosen, work, strict=True):
                results[n] = builder.take(item, identity, reference, ids[n], bodies[n])
            await people_store.write(connection, self.desk.keys, builder.people)
            await write_standings(connection, builder.standings.values())
            await insert_events(connection, desk.territory, batch, builder.rows, builder.accepted_at)
            await identity_known(connection, [r.person for r in builder.rows if r.record == "IdentityLinked"])
        return [r for r in results if r is not None]

    async def _read(
        self, connection: AsyncConnection, builder: Builder, items: Sequence[Incoming]
    ) -> list[tuple[object, Reference | None]]:
        """Everything that the builder folds over, under the persons' locks; then the numbers are drawn."""
        territory, partner = builder.configuration.territory, builder.partner
        payer = (territory.main_payer.fonorg, territory.main_payer.numorg)
        drafts = [item.draft for item in items]
        identities = [normalise(draft.subject, payer, partner) for draft in drafts]
        quoted = {draft.subject.reference for draft in drafts if draft.subject.reference}
        quoted |= {str(d.fields["measure_id"]) for d in drafts if d.fields.get("measure_id")}
        builder.requests, given = await load_requests(connection, partner, quoted)
        references = {k: Reference(r.person, k in given) for k, r in builder.requests.items()}
        builder.people = await people_store.load(
            connection, self.desk.master, self.desk.keys, territory.id, partner, identities,
            {k: r for k, r in references.items() if r.given_to_sender},
        )  # fmt: skip
        known = list(builder.people.by_id)
        builder.standings = await load_standings(connection, self.desk.codec, builder.people)
        builder.told = {
            (r.person, r.matter): r.hash
            for r in await rows(
                connection,
                "select person, matter, hash from told where partner = :p and person = any(cast(:ids as uuid[]))",
                p=partner,
                ids=known,
            )
        }
        clocks = await rows(connection, "select hub_now() as now, clock_timestamp() as accepted_at")
        builder.now, builder.accepted_at = clocks[0]
        builder.today = today(builder.now)
        builder.numbers = await draw(connection, 5 * len(drafts))
        return [(identity, references.get(identity.reference or "")) for identity in identities]


async def draw(connection: AsyncConnection, count: int) -> list[int]:
    """Event numbers, the smallest last. Drawn after the persons' locks; what is not used is a gap."""
    drawn = await rows(connection, "select nextval('event_no') from generate_series(1, :n)", n=count)
    return sorted((r[0] for r in drawn), reverse=True)


async def _known(
    connection: AsyncConnection, source: str, ids: Sequence[str], bodies: Sequence[bytes]
) -> list[Result | None]:
    """Receipts of what was accepted before, conflicts for other bodies under a used id; None = fresh."""
    before = {
        r.source_event_id: r
        for r in await rows(
            connection,
            "select source_event_id, id, no, accepted_at, canonical from event "
            "where source = :source and source_event_id = any(cast(:ids as text[]))",
            source=source,
            ids=list(ids),
        )
    }
    first: dict[str, bytes] = {}
    results: list[Result | None] = []
    for key, body in zip(ids, bodies, strict=True):
        row = before.get(key)
        if row is not None:
            same = bytes(row.canonical) == body
            results.append(Accepted(row.id, row.no, row.accepted_at, True) if same else CONFLICT)
        elif key in first:
            results.append(NotTaken("duplicate", "twice_in_batch") if first[key] == body else CONFLICT)
        else:
            first[key] = body
            results.append(None)
    return results


async def insert_events(
    connection: AsyncConnection,
    territory: str,
    batch: int | None,
    made: Sequence[Row],
    accepted_at: datetime | None = None,
) -> None:
    """Store events and the beginning of their way. Raises on a used (source, source event id): another transaction
    was first, and the batch is run again. `accepted_at` is what the receipts say (aware), None = now."""
    if not made:
        return
    columns = {
        "no": "bigint", "id": "uuid", "source": "text", "source_event_id": "text", "canonical": "bytea", "record": "text",
        "version": "int", "emitter": "text", "flow": "text", "person": "uuid", "journey": "uuid", "causation": "uuid",
        "body": "bytea", "body_hash": "bytea", "facts": "text", "matter": "text", "occurred_at": "timestamptz",
    }  # fmt: skip
    values: dict[str, list[object]] = {name: [getattr(row, name) for row in made] for name in columns}
    values["facts"] = [msgspec.json.encode(row.facts).decode() for row in made]
    names = ", ".join(columns)
    await run(
        connection,
        f"insert into event (territory, batch, accepted_at, {names}) "
        "select :territory, cast(:batch as bigint), coalesce(cast(:accepted_at as timestamptz), clock_timestamp()), "
        + ", ".join(f"u.{name}::jsonb" if name == "facts" else f"u.{name}" for name in columns)
        + " from unnest("
        + ", ".join(f"cast(:{name} as {kind}[])" for name, kind in columns.items())
        + f") as u({names})",
        territory=territory,
        batch=batch,
        accepted_at=accepted_at,
        **values,
    )
    await run(
        connection,
        "insert into event_way (no, person) select * from unnest(cast(:nos as bigint[]), cast(:persons as uuid[]))",
        nos=values["no"],
        persons=values["person"],
    )


async def identity_known(connection: AsyncConnection, persons: Sequence[UUID]) -> None:
    """What waits for an identifier of these persons is due at once (it stays its lane's head, so no lock is needed)."""
    if persons:
        await run(
            connection,
            "update delivery set due = (select hub_now()) where person = any(cast(:ids as uuid[])) "
            "and state = 'waiting' and reason = 'identity' and marked_by is null and due is not null",
            ids=list(persons),
        )
        await run(connection, "notify hub_due")
