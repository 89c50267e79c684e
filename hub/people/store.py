"""The people of a batch in the database: look up, lock, decide who is who, and write what was gained.

Order inside the accepting transaction: index rows without a lock, persons locked in one statement, then everything
about them read again in another (protocol.md §1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.people import matching
from hub.people.identity import Identity
from hub.people.keys import DataKeys, MasterKey
from hub.people.matching import Index, Reference, Resolved
from hub.people.profile import Profile
from hub.store.database import rows, run


class Again(Exception):
    """A person was merged while we waited for its lock: run the transaction again."""


@dataclass(slots=True)
class Person:
    """One person of the batch, locked. `held` are hashes of identifiers by kind; `wrapped` is a new person's data key; such a
    person has no profile before its first event is built."""

    id: UUID
    profile: Profile | None
    restricted: bool = False
    objections: tuple[str, ...] = ()
    erasing: bool = False
    wrapped: bytes | None = None
    changed: bool = False
    held: dict[str, frozenset[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class People:
    """The persons of one batch and what has to be written about them."""

    territory: str
    source: str
    keys: DataKeys
    index: Index
    by_id: dict[UUID, Person]
    made: list[Resolved] = field(default_factory=list)

    def resolve(
        self, identity: Identity, new_id: Callable[[], UUID], reference: Reference | None
    ) -> Resolved:
        """Decide one item; a new person is known to the next items at once. `keep` or `forget` follows."""
        found = matching.resolve(identity, self.index, new_id, reference)
        if found.created and found.person is not None:
            wrapped = self.keys.new_key(found.person)
            self.by_id[found.person] = Person(found.person, None, wrapped=wrapped)
        return found

    def keep(self, found: Resolved) -> None:
        """The item was taken: what its person gains will be written."""
        self.made.append(found)

    def forget(self, found: Resolved) -> None:
        """The item was refused after all: nothing of it stays, neither here nor for the batch's next items."""
        matching.unresolve(found, self.index)
        if found.created and found.person is not None:
            del self.by_id[found.person]


async def load(
    connection: AsyncConnection,
    master: MasterKey,
    keys: DataKeys,
    territory: str,
    source: str,
    identities: Sequence[Identity],
    referenced: Mapping[str, Reference],
) -> People:
    """Find, lock and read everybody the batch may be about. Raises Again, KeyServiceDown."""
    index = Index(lambda rule, *parts: master.blind(territory, rule, *parts))
    wanted = matching.lookups(identities, index)
    found = await rows(
        connection,
        """
        select i.rule, i.hash, p.root as person
        from unnest(cast(:rules as text[]), cast(:hashes as bytea[])) as u(rule, hash)
        join identity i on i.territory = :t and i.rule = u.rule and i.hash = u.hash
        join person p on p.id = i.person
        """,
        t=territory,
        rules=[w.rule for w in wanted],
        hashes=[w.hash for w in wanted],
    )
    persons = sorted({r.person for r in found} | {r.person for r in referenced.values()})
    by_id = await lock(connection, keys, persons)
    index.add(
        [(r.rule, r.hash, r.person) for r in found],
        {person.id: person.profile.known(person.held) for person in by_id.values() if person.profile},
    )
    return People(territory, source, keys, index, by_id)


async def lock(connection: AsyncConnection, keys: DataKeys, persons: Sequence[UUID]) -> dict[UUID, Person]:
    """Lock the persons, id order, one statement; read them in others. Raises Again when one is no root any more."""
    if not persons:
        return {}
    await rows(
        connection,
        "select id from person where id = any(cast(:ids as uuid[])) order by id for no key update",
        ids=list(persons),
    )
    found = await rows(
        connection,
        "select id, root, profile, restricted, objections, erasing_at from person where id = any(cast(:ids as uuid[]))",
        ids=list(persons),
    )
    if any(r.root != r.id for r in found):
        raise Again
    await load_keys(connection, keys, persons)
    held: dict[UUID, dict[str, frozenset[bytes]]] = {}
    for r in await rows(
        connection,
        "select person, kind, array_agg(hash) as hashes from identifier where person = any(cast(:ids as uuid[])) group by 1, 2",
        ids=list(persons),
    ):
        held.setdefault(r.person, {})[r.kind] = frozenset(r.hashes)
    return {
        r.id: Person(
            r.id,
            Profile.decode(keys.open(r.id, r.profile, "profile")),
            r.restricted,
            tuple(r.objections),
            r.erasing_at is not None,
            held=held.get(r.id, {}),
        )
        for r in found
    }


async def load_keys(connection: AsyncConnection, keys: DataKeys, persons: Sequence[UUID]) -> None:
    """Bring the data keys of these persons into the cache where they are not; who has no row has lost its key."""
    missing = keys.missing(persons)
    if not missing:
        return
    found: dict[UUID, list[tuple[int, bytes | None]]] = {person: [] for person in missing}
    for row in await rows(
        connection,
        "select person, version, wrapped from person_key where person = any(cast(:ids as uuid[]))",
        ids=missing,
    ):
        found[row.person].append((row.version, row.wrapped))
    for person, versions in found.items():
        keys.load(person, versions)


async def write(connection: AsyncConnection, keys: DataKeys, people: People) -> None:
    """Store new persons with their key, changed profiles, index rows, identifiers and review lines."""
    new = [p for p in people.by_id.values() if p.wrapped is not None]
    if new:
        await run(
            connection,
            "insert into person (id, territory, root, profile, key_version) select u.id, :t, u.id, u.profile, 1 "
            "from unnest(cast(:ids as uuid[]), cast(:profiles as bytea[])) as u(id, profile)",
            t=people.territory,
            ids=[p.id for p in new],
            profiles=[keys.seal(p.id, p.profile.encode(), "profile") for p in new],
        )
        await run(
            connection,
            "insert into person_key (person, version, wrapped) select u.id, 1, u.wrapped "
            "from unnest(cast(:ids as uuid[]), cast(:wrapped as bytea[])) as u(id, wrapped)",
            ids=[p.id for p in new],
            wrapped=[p.wrapped for p in new],
        )
    changed = [p for p in people.by_id.values() if p.changed and p.wrapped is None]
    if changed:
        await run(
            connection,
            "update person p set profile = u.profile from unnest(cast(:ids as uuid[]), cast(:profiles as bytea[])) as u(id, profile) "
            "where p.id = u.id",
            ids=[p.id for p in changed],
            profiles=[keys.seal(p.id, p.profile.encode(), "profile") for p in changed],
        )
    await _write_index(connection, keys, people)
    await _write_reviews(connection, keys, people)


async def _write_index(connection: AsyncConnection, keys: DataKeys, people: People) -> None:
    hashed = [(row, found.person) for found in people.made for row in found.gains.rows]
    if hashed:
        await run(
            connection,
            "insert into identity (territory, rule, hash, person) select :t, u.rule, u.hash, u.person "
            "from unnest(cast(:rules as text[]), cast(:hashes as bytea[]), cast(:persons as uuid[])) as u(rule, hash, person)",
            t=people.territory,
            rules=[row.rule for row, _ in hashed],
            hashes=[row.hash for row, _ in hashed],
            persons=[person for _, person in hashed],
        )
    await write_identifiers(
        connection,
        keys,
        people.source,
        [(found.person, i) for found in people.made for i in found.gains.identifiers],
    )


async def write_identifiers(
    connection: AsyncConnection,
    keys: DataKeys,
    source: str,
    gained: Sequence[tuple[UUID, matching.Identifier]],
) -> None:
    """Store identifiers sealed with their person's key. Idempotent."""
    if gained:
        await run(
            connection,
            "insert into identifier (person, kind, hash, sealed, source) select u.person, u.kind, u.hash, u.sealed, :source "
            "from unnest(cast(:persons as uuid[]), cast(:kinds as text[]), cast(:hashes as bytea[]), cast(:sealed as bytea[])) "
            "as u(person, kind, hash, sealed) on conflict do nothing",
            source=source,
            persons=[person for person, _ in gained],
            kinds=[i.kind for _, i in gained],
            hashes=[i.hash for _, i in gained],
            sealed=[keys.seal(person, i.value.encode(), f"identifier:{i.kind}") for person, i in gained],
        )


async def _write_reviews(connection: AsyncConnection, keys: DataKeys, people: People) -> None:
    """One line per (person, against, reason), also when an earlier one was decided."""
    lines = {
        (found.person, review.against, review.reason): review
        for found in people.made
        for review in getattr(found.decision, "reviews", ())
    }
    for (person, against, reason), review in lines.items():
        taken = " ".join(f"{kind}={value}" for kind, value in review.identifiers.items())
        await run(
            connection,
            """
            insert into review (territory, person, against, reason, rule, source, sealed)
            select :t, :person, cast(:against as uuid), :reason, :rule, :source, :sealed
            where not exists (select 1 from review r where r.person = :person and r.reason = :reason
                              and r.against is not distinct from cast(:against as uuid))
            """,
            t=people.territory,
            person=person,
            against=against,
            reason=reason,
            rule=review.rule,
            source=people.source,
            sealed=keys.seal(person, taken.encode(), f"review:{reason}") if taken else None,
        )
