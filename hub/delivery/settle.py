"""Settle: an attempt's outcome becomes the delivery's state, conditional on (delivery, attempt, sending).

Holds the partners' locks before any row and ends by waking the lanes. A settle that meets another attempt changes
nothing: its answer is kept as a note.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery import lane
from hub.delivery.claim import Claimed
from hub.delivery.desk import Desk
from hub.delivery.retry import Settlement, Standing, settlement
from hub.sdk.outbound import Learned, Lookup, Outcome
from hub.store.database import rows, run, scalar, transaction

Link = Callable[[AsyncConnection, Sequence[tuple[str, UUID, UUID, Learned]]], Awaitable[None]]
"""What takes in learned identifiers, inside the settling transaction: (partner, person, event, identifier)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One attempt that has ended, with what the partner said."""

    item: Claimed
    outcome: Outcome | Lookup


@dataclass(slots=True)
class Settled:
    """What a settle did: items closed or requeued, those a newer attempt had overtaken, and pauses set."""

    done: list[tuple[Claimed, Settlement]] = field(default_factory=list)
    stale: int = 0


async def settle(
    database: AsyncEngine,
    desk: Desk,
    ended: Sequence[Ended],
    random: Callable[[], float],
    link: Link | None = None,
) -> Settled:
    """One transaction for many attempts. Idempotent: the same answer again is a stale one."""
    async with transaction(database) as connection:
        await lane.lock_partners(connection, sorted({e.item.partner for e in ended}))
        now = await scalar(connection, "select hub_now()")
        decided = [(e, _decide(desk, e, now, random)) for e in ended]
        kept = await _write(connection, decided)
        done = [(e, s) for e, s in decided if e.item.delivery in kept]
        await _log(connection, decided, kept)
        await _told(connection, done)
        learned = [
            (e.item.partner, e.item.person, e.item.event_id, item)
            for e, _ in done
            for item in getattr(e.outcome, "learned", ())
        ]
        if learned and link is not None:
            await link(connection, learned)
        await lane.wake(connection, [(e.item.partner, e.item.person) for e, _ in done])
        await _lift_probe(connection, {e.item.partner for e, s in done if not s.unavailable})
    return Settled([(e.item, s) for e, s in done], len(decided) - len(done))


def _decide(desk: Desk, ended: Ended, now: datetime, random: Callable[[], float]) -> Settlement:
    item = ended.item
    standing = Standing(
        item.attempt,
        item.tries,
        item.marked_by,
        (now - item.marked_at).total_seconds(),
        (now - item.created_at).total_seconds(),
    )
    return settlement(standing, ended.outcome, desk.partner(item.partner).outbound, random)


async def _write(connection: AsyncConnection, decided: Sequence[tuple[Ended, Settlement]]) -> set[int]:
    """Update the rows still at this attempt; the ids that were. A due never lies before the lease of a kept mark, and an
    identifier that came between claim and settle makes an item that waits for identity due at once."""
    found = await rows(
        connection,
        """
        update delivery d set
            state = u.state, reason = u.reason, code = u.code, tries = u.tries, ack = u.ack,
            settled_at = (select hub_now()),
            marked_by = case when u.unmark then null else d.marked_by end,
            marked_at = case when u.unmark then null else d.marked_at end,
            due = case when u.state <> 'waiting' then null
                  else greatest(
                      case when u.reason = 'identity' and exists (
                              select 1 from identifier i where i.person = d.person and i.since >= d.claimed_at)
                           then (select hub_now()) else (select hub_now()) + make_interval(secs => u.due_in) end,
                      case when u.unmark then null else d.lease_until end) end
        from unnest(cast(:ids as bigint[]), cast(:attempts as int[]), cast(:states as text[]), cast(:reasons as text[]),
                    cast(:codes as text[]), cast(:tries as int[]), cast(:acks as text[]), cast(:unmarks as bool[]),
                    cast(:dues as float8[])) as u(id, attempt, state, reason, code, tries, ack, unmark, due_in)
        where d.id = u.id and d.attempt = u.attempt and d.state = 'sending'
        returning d.id
        """,
        ids=[e.item.delivery for e, _ in decided],
        attempts=[e.item.attempt for e, _ in decided],
        states=[s.state for _, s in decided],
        reasons=[s.reason for _, s in decided],
        codes=[s.code for _, s in decided],
        tries=[s.tries for _, s in decided],
        acks=[s.ack for _, s in decided],
        unmarks=[s.unmark for _, s in decided],
        dues=[s.due_in for _, s in decided],
    )
    return {row[0] for row in found}


async def _log(
    connection: AsyncConnection, decided: Sequence[tuple[Ended, Settlement]], kept: set[int]
) -> None:
    lines = []
    for ended, to in decided:
        item = ended.item
        if item.delivery not in kept:
            lines.append(
                lane.LogLine(
                    item.delivery, item.attempt, "sending", to.state, to.reason, to.code, note="stale"
                )
            )
        elif to.state != "delivered" or item.attempt > 1:
            lines.append(lane.LogLine(item.delivery, item.attempt, "sending", to.state, to.reason, to.code))
    await lane.write_log(connection, lines)


async def _told(connection: AsyncConnection, done: Sequence[tuple[Ended, Settlement]]) -> None:
    """Remember, by keyed hash of the echo fields, what this partner was last told of the matter."""
    facts: dict[tuple[str, UUID, str], tuple[bytes, int]] = {}
    for ended, to in done:
        item = ended.item
        digest = item.echo if to.state == "delivered" else None
        if digest is not None and item.matter is not None:
            key = (item.partner, item.person, item.matter)
            if key not in facts or facts[key][1] < ended.item.no:
                facts[key] = (digest, ended.item.no)
    if facts:
        await run(
            connection,
            """
            insert into told (partner, person, matter, hash, no)
            select * from unnest(cast(:partners as text[]), cast(:persons as uuid[]), cast(:matters as text[]),
                                 cast(:hashes as bytea[]), cast(:nos as bigint[]))
            on conflict (partner, person, matter) do update set hash = excluded.hash, no = excluded.no
            where told.no <= excluded.no
            """,
            partners=[p for p, _, _ in facts],
            persons=[p for _, p, _ in facts],
            matters=[m for _, _, m in facts],
            hashes=[h for h, _ in facts.values()],
            nos=[n for _, n in facts.values()],
        )


async def _lift_probe(connection: AsyncConnection, answered: set[str]) -> None:
    """A partner that answered is available again: its automatic pause for unavailability ends, no other one does."""
    if answered:
        await run(
            connection,
            "delete from pause where partner = any(cast(:ids as text[])) and kind = 'unavailable'",
            ids=sorted(answered),
        )


async def pause_unavailable(database: AsyncEngine, partner: str, first: float) -> datetime:
    """Pause a partner that does not answer, until a probe in `first` seconds. Returns until when. Idempotent."""
    async with transaction(database) as connection:
        await run(
            connection,
            "insert into pause (partner, kind, reason, until, step, who) values (:p, 'unavailable', 'the partner does not answer', "
            "(select hub_now()) + make_interval(secs => :first), make_interval(secs => :first), 'hub') on conflict do nothing",
            p=partner,
            first=first,
        )
        return await scalar(
            connection, "select until from pause where partner = :p and kind = 'unavailable'", p=partner
        )


async def probe_failed(database: AsyncEngine, partner: str, most: float) -> bool:
    """After an unanswered probe the partner stays paused twice as long, at most `most` seconds. False = no probe was due."""
    async with transaction(database) as connection:
        return bool(
            await run(
                connection,
                "update pause set step = least(step * 2, make_interval(secs => :most)), "
                "until = (select hub_now()) + least(step * 2, make_interval(secs => :most)) "
                "where partner = :p and kind = 'unavailable' and until <= (select hub_now())",
                p=partner,
                most=most,
            )
        )


async def pause_errors(database: AsyncEngine, partner: str, reason: str) -> None:
    """Pause a partner whose connector fails in a burst, until a person resumes it."""
    async with transaction(database) as connection:
        await run(
            connection,
            "insert into pause (partner, kind, reason, who) values (:p, 'errors', :r, 'hub') on conflict do nothing",
            p=partner,
            r=reason,
        )
