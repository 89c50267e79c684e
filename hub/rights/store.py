"""Configuration in the database: one immutable version each time, changed only under the exclusive gate.

After the commit nothing is routed or claimed under older rights (protocol.md §6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery.lane import gate_exclusive, lock_partners, wake
from hub.rights.changes import Change, diff
from hub.rights.configuration import Configuration, Partners, combine
from hub.rights.territory import Territory
from hub.store.database import rows, run, scalar, transaction


class NotConfigured(LookupError):
    """The territory or partner is not configured; the text says what to apply."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A version that is now in force; `changes` is empty when the document was already in force (same version)."""

    version: int
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class PartnerStatus:
    """One partner for listing: what holds it, and how much of it is open."""

    id: str
    organisation: str
    kind: str
    connector: str
    loaded: bool
    removed: bool
    pauses: list[dict[str, Any]]
    waiting: int
    human: int
    delivered: int


async def apply_configuration(database: AsyncEngine, document: Territory | Partners, author: str) -> Applied:
    """Make the next version from a territory's or a partners' document. Applying the same again changes nothing.

    Raises ConfigurationError; nothing is kept then."""
    territory = document.id if isinstance(document, Territory) else document.territory
    if isinstance(document, Territory):
        async with transaction(database) as connection:
            await run(
                connection, "insert into territory (id) values (:t) on conflict do nothing", t=territory
            )
    async with transaction(database) as connection:
        await gate_exclusive(connection, territory)
        before = await newest(connection, territory)
        after = combine(before[1] if before else None, document)
        if before and before[1].digest() == after.digest():
            return Applied(before[0], [])
        version = await scalar(
            connection,
            "insert into configuration (territory, document, digest, author) "
            "values (:t, cast(:document as jsonb), :digest, :author) returning version",
            t=territory,
            document=after.model_dump_json(),
            digest=after.digest(),
            author=author,
        )
        await _partners(connection, after, version)
        return Applied(version, diff(before[1] if before else None, after))


async def _partners(connection: AsyncConnection, configuration: Configuration, version: int) -> None:
    """One row per partner: its lock number, and under which version it came."""
    known = configuration.partners
    await run(
        connection,
        """
        insert into partner (id, territory, connector, added_under)
        select u.id, :t, u.connector, :v from unnest(cast(:ids as text[]), cast(:connectors as text[])) as u(id, connector)
        on conflict (id) do update set connector = excluded.connector
        """,
        t=configuration.territory.id,
        v=version,
        ids=[p.id for p in known],
        connectors=[p.connector for p in known],
    )
    await run(
        connection,
        "update partner set removed_at = coalesce(removed_at, clock_timestamp()) where id = any(cast(:ids as text[]))",
        ids=[p.id for p in known if p.removed_on is not None],
    )


async def newest(connection: AsyncConnection, territory: str) -> tuple[int, Configuration] | None:
    """Version and configuration in force, or None."""
    found = await rows(
        connection,
        "select version, document from configuration where territory = :t order by version desc limit 1",
        t=territory,
    )
    return (found[0].version, Configuration.model_validate(found[0].document)) if found else None


async def current(database: AsyncEngine, territory: str) -> tuple[int, Configuration]:
    """Version and configuration in force. Raises NotConfigured."""
    async with transaction(database) as connection:
        found = await newest(connection, territory)
    if found is None:
        raise NotConfigured(
            f"territory {territory} is not configured: run `hub territory apply FOLDER` first"
        )
    return found


async def territories(database: AsyncEngine) -> list[str]:
    """The configured territories."""
    async with transaction(database) as connection:
        return [r.id for r in await rows(connection, "select id from territory order by id")]


async def partners(database: AsyncEngine, territory: str | None = None) -> list[PartnerStatus]:
    """Every partner with what holds it."""
    async with transaction(database) as connection:
        found = []
        for row in await rows(
            connection,
            """
            select p.id, p.territory, p.connector, p.loaded, p.removed_at,
                   (select coalesce(jsonb_agg(jsonb_build_object('kind', z.kind, 'reason', z.reason, 'since', z.since, 'until', z.until, 'who', z.who)), '[]')
                    from pause z where z.partner = p.id) as pauses,
                   count(d.id) filter (where d.state in ('waiting', 'sending')) as waiting,
                   count(d.id) filter (where d.state = 'human') as human,
                   count(d.id) filter (where d.state = 'delivered') as delivered
            from partner p left join delivery d on d.partner = p.id
            where cast(:t as text) is null or p.territory = :t group by p.id order by p.id
            """,
            t=territory,
        ):
            configuration = (await newest(connection, row.territory))[1]
            known = configuration.partner(row.id)
            found.append(
                PartnerStatus(
                    row.id, known.organisation, configuration.kind_of(row.id), row.connector, row.loaded,
                    row.removed_at is not None, row.pauses, row.waiting, row.human, row.delivered,
                )
            )  # fmt: skip
        return found


async def pause(database: AsyncEngine, partner: str, reason: str, until: datetime | None, who: str) -> None:
    """Stop everything to a partner from the next claim on; what is under way ends. Raises NotConfigured."""
    async with transaction(database) as connection:
        await _known(connection, partner)
        await lock_partners(connection, [partner])
        await run(
            connection,
            "insert into pause (partner, kind, reason, until, who) values (:p, 'person', :reason, :until, :who) "
            "on conflict (partner, kind) do update set reason = excluded.reason, until = excluded.until, who = excluded.who",
            p=partner,
            reason=reason,
            until=until,
            who=who,
        )


async def resume(database: AsyncEngine, partner: str, who: str) -> list[str]:
    """Lift every pause of a partner, a person's and automatic ones; the kinds lifted. Raises NotConfigured."""
    async with transaction(database) as connection:
        await _known(connection, partner)
        await lock_partners(connection, [partner])
        lifted = await rows(connection, "delete from pause where partner = :p returning kind", p=partner)
        persons = await rows(
            connection,
            "select distinct person from delivery where partner = :p and state = 'waiting' and due is null",
            p=partner,
        )
        await wake(connection, [(partner, r.person) for r in persons])
        await run(connection, "notify hub_due")
        return [r.kind for r in lifted]


async def _known(connection: AsyncConnection, partner: str) -> None:
    if await scalar(connection, "select 1 from partner where id = :p", p=partner) is None:
        raise NotConfigured(f"there is no partner {partner}; `hub partner list` shows those there are")
