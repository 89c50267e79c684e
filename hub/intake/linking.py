"""Identifiers that partners give in their answers: settle turns them into IdentityLinked in its own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.delivery.desk import Desk, today
from hub.intake.accept import draw, identity_known, insert_events
from hub.intake.build import linked_row
from hub.log.registry import FileRegistry
from hub.people import matching
from hub.people import store as people_store
from hub.people.identity import Key
from hub.sdk.outbound import Learned
from hub.store.database import rows, run, scalar


class Linker:
    """Called by settle with what was learned. A number that belongs to somebody else is a review line, never a link."""

    def __init__(self, desk: Desk, registry: FileRegistry) -> None:
        self.desk, self.registry = desk, registry

    async def __call__(
        self, connection: AsyncConnection, learned: Sequence[tuple[str, UUID, UUID, Learned]]
    ) -> None:
        """`learned`: (partner, person, event, identifier). Idempotent: what is known already changes nothing."""
        by_partner: dict[str, list[tuple[UUID, UUID, Learned]]] = {}
        for partner, person, event, item in learned:
            by_partner.setdefault(partner, []).append((person, event, item))
        for partner, items in by_partner.items():
            await self._partner(connection, partner, items)

    async def _partner(
        self, connection: AsyncConnection, partner: str, items: Sequence[tuple[UUID, UUID, Learned]]
    ) -> None:
        territory = self.desk.partner(partner).territory
        configuration = self.desk.configuration(territory)
        roots = {
            r.id: r.root
            for r in await rows(
                connection,
                "select id, root from person where id = any(cast(:ids as uuid[]))",
                ids=[person for person, _, _ in items],
            )
        }
        by_id = await people_store.lock(connection, self.desk.keys, sorted(set(roots.values())))
        index = matching.Index(lambda rule, *parts: self.desk.master.blind(territory, rule, *parts))
        people = people_store.People(territory, partner, self.desk.keys, index, by_id)
        now = await scalar(connection, "select hub_now()")
        numbers = await draw(connection, len(items))
        made = []
        for person_id, event, item in items:
            person = by_id[roots[person_id]]
            digest = index.hashed(Key(item.kind, (item.value,))).hash
            if digest in person.held.get(item.kind, frozenset()):
                continue
            holder = await scalar(
                connection,
                "select person from identity where territory = :t and rule = :r and hash = :h",
                t=territory, r=item.kind, h=digest,
            )  # fmt: skip
            if holder is not None and holder != person.id:
                await self._doubt(connection, people, person.id, holder, item, digest)
                continue
            await self._gain(connection, people, person, item, digest)
            made.append(
                linked_row(
                    configuration, self.registry, self.desk.codec, people, person, item.kind, "partner_answer", event,
                    self.desk.partner(partner).connector.name, numbers.pop(), None, now, today(now),
                )
            )  # fmt: skip
        await insert_events(connection, territory, None, made)
        if made:
            await identity_known(connection, [row.person for row in made])
            await run(connection, "notify hub_relay")

    async def _gain(
        self,
        connection: AsyncConnection,
        people: people_store.People,
        person: people_store.Person,
        item: Learned,
        digest: bytes,
    ) -> None:
        """The identifier's index rows: alone, and with the birth date when its day is known."""
        keys = [Key(item.kind, (item.value,))]
        if person.profile.birth_date and person.profile.birth_day_known:
            keys.append(Key(f"{item.kind}_birth", (item.value, person.profile.birth_date)))
        for key in keys:
            hashed = people.index.hashed(key)
            await run(
                connection,
                "insert into identity (territory, rule, hash, person) values (:t, :r, :h, :p) on conflict do nothing",
                t=people.territory, r=hashed.rule, h=hashed.hash, p=person.id,
            )  # fmt: skip
        await people_store.write_identifiers(
            connection,
            people.keys,
            people.source,
            [(person.id, matching.Identifier(item.kind, item.value, digest))],
        )
        person.held[item.kind] = person.held.get(item.kind, frozenset()) | {digest}

    async def _doubt(
        self,
        connection: AsyncConnection,
        people: people_store.People,
        person: UUID,
        holder: UUID,
        item: Learned,
        digest: bytes,
    ) -> None:
        await run(
            connection,
            "insert into review (territory, person, against, reason, rule, source, sealed) "
            "select :t, :p, :against, 'learned_of_another', :rule, :source, :sealed where not exists "
            "(select 1 from review where person = :p and against = :against and reason = 'learned_of_another')",
            t=people.territory, p=person, against=holder, rule=item.kind, source=people.source,
            sealed=people.keys.seal(person, f"{item.kind}={item.value}".encode(), "review:learned_of_another"),
        )  # fmt: skip
