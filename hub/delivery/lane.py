"""The lane's own SQL: locks in their order, lapse, log. A lane is the open deliveries of (partner, person root)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.database import rows, run

#: first key of the advisory locks: one key space for both would deadlock (protocol.md §6)
GATE, PARTNER = 1, 2


async def gate_shared(connection: AsyncConnection, territory_locks: Sequence[int]) -> None:
    """First, alone in its statement: whoever changes rights holds it exclusively for that commit."""
    await rows(
        connection,
        "select pg_advisory_xact_lock_shared(1, n) from (select unnest(cast(:locks as int[])) n order by 1) l",
        locks=sorted(territory_locks),
    )


async def gate_exclusive(connection: AsyncConnection, territory: str) -> None:
    """For a change of configuration, agreement, partner, objection, protection, root or erase mark."""
    await rows(
        connection,
        "select pg_advisory_xact_lock(1, (select lock_no from territory where id = :t))",
        t=territory,
    )


async def lock_partners(connection: AsyncConnection, partners: Sequence[str]) -> None:
    """Wait for the partners' locks, by lock number; whoever closes an item takes it before any row."""
    await rows(
        connection,
        "select pg_advisory_xact_lock(2, lock_no) from "
        "(select lock_no from partner where id = any(cast(:ids as text[])) order by lock_no) p",
        ids=list(partners),
    )


async def try_partners(connection: AsyncConnection, partners: Sequence[str]) -> list[str]:
    """The partners whose lock was free; a taken one is claimed later. Only the claim tries."""
    taken = await rows(
        connection,
        "select id from (select id, lock_no from partner where id = any(cast(:ids as text[])) order by lock_no) p "
        "where pg_try_advisory_xact_lock(2, p.lock_no)",
        ids=list(partners),
    )
    return [row.id for row in taken]


async def wake(connection: AsyncConnection, lanes: Sequence[tuple[str, UUID]]) -> None:
    """End of every transaction that closed, settled, lapsed or unmarked: each lane's head becomes due."""
    if lanes:
        await rows(
            connection,
            "select wake(cast(:partners as text[]), cast(:persons as uuid[]))",
            partners=[partner for partner, _ in lanes],
            persons=[person for _, person in lanes],
        )


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of `delivery_log`; a first-try success needs none, it stands in the row itself."""

    delivery: int
    attempt: int
    from_state: str
    to_state: str
    reason: str | None = None
    code: str | None = None
    who: str | None = None
    note: str | None = None


async def write_log(connection: AsyncConnection, lines: Sequence[LogLine]) -> None:
    """Append; duration and versions are taken from the delivery's row as it stands in this transaction."""
    if not lines:
        return
    await run(
        connection,
        """
        insert into delivery_log (delivery, attempt, from_state, to_state, reason, code, who, note, claimed_at, duration_ms,
                                  configuration, connector_version, message_hash)
        select d.id, l.attempt, l.from_state, l.to_state, l.reason, l.code, l.who, l.note, d.claimed_at,
               case when l.from_state = 'sending' then
                    least(extract(epoch from (select hub_now()) - d.claimed_at) * 1000, 2147483647)::int end,
               d.configuration, d.connector_version, d.message_hash
        from unnest(cast(:delivery as bigint[]), cast(:attempt as int[]), cast(:from_state as text[]), cast(:to_state as text[]),
                    cast(:reason as text[]), cast(:code as text[]), cast(:who as text[]), cast(:note as text[]))
             with ordinality as l(delivery, attempt, from_state, to_state, reason, code, who, note, n)
        join delivery d on d.id = l.delivery
        order by l.n
        """,
        **{
            name: [getattr(line, name) for line in lines]
            for name in ("delivery", "attempt", "from_state", "to_state", "reason", "code", "who", "note")
        },
    )


async def lapse(connection: AsyncConnection, partners: Sequence[str], unsure: Sequence[str]) -> int:
    """Sending items past their lease, at partners whose lock is held: back to waiting(retry, due now), at the `unsure`
    partners (neither key nor look-up) to human(unknown_outcome). Mark and attempt stay. Items of an open file lapse
    with their file. Returns how many lapsed."""
    lapsed = await rows(
        connection,
        """
        update delivery d set
            state = case when d.partner = any(cast(:unsure as text[])) then 'human' else 'waiting' end,
            reason = case when d.partner = any(cast(:unsure as text[])) then 'unknown_outcome' else 'retry' end,
            due = case when d.partner = any(cast(:unsure as text[])) then null else greatest((select hub_now()), d.lease_until) end,
            settled_at = (select hub_now())
        where d.partner = any(cast(:partners as text[])) and d.state = 'sending' and d.lease_until <= (select hub_now())
          and not exists (select 1 from file_item i join file f on f.id = i.file where i.delivery = d.id and f.state <> 'settled')
        returning d.id, d.attempt, d.state, d.reason
        """,
        partners=list(partners),
        unsure=list(unsure),
    )
    await write_log(
        connection,
        [LogLine(r.id, r.attempt, "sending", r.state, r.reason, note=None, code="lapsed") for r in lapsed],
    )
    return len(lapsed)
