"""What a person does about a delivery: try again, skip, confirm. Only as protocol.md §4 allows, and said in the log.

Holds the partners' locks before any row and ends by waking the lanes, as whoever closes an item does. An item that may
have reached its partner is not touched before its lease ends, nor while its file is under way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery import lane
from hub.delivery.desk import Desk
from hub.sdk.manifest import Outbound
from hub.store.database import rows, run, scalar, transaction

SLICE = 1000
PARIS = ZoneInfo("Europe/Paris")


class NoSuchDelivery(LookupError):
    """The text names the numbers."""


class BadReason(ValueError):
    """A reason that may not be kept; the text says why."""


@dataclass(slots=True)
class Repaired:
    """What was done: the deliveries' ids, and by id why another one was left as it is."""

    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Step:
    """One item's new state; `unmark`: the person says that the partner does not have it."""

    id: int
    state: str
    reason: str | None
    unmark: bool


_Decide = Callable[[Any, datetime], _Step | str]


async def retry(
    database: AsyncEngine, desk: Desk, ids: Sequence[int], who: str, *, not_there: bool = False
) -> Repaired:
    """Needs a person → waiting, for a new series of tries. Raises NoSuchDelivery.

    What may have reached the partner is tried again only where that is safe (the same key while the partner remembers it,
    or a look-up first); elsewhere only when the person has asked the partner and says that it is `not_there`."""

    def decide(row: Any, now: datetime) -> _Step | str:
        if row.state != "human":
            return f"it is {row.state}; only what needs a person can be tried again by hand"
        if row.marked_by is not None and not not_there and not _safe_again(desk, row, now):
            return (
                "it may have reached the partner, and nobody can find out by sending again: ask the partner, then "
                "say --not-there, or confirm it"
            )
        by_file = desk.by_file(row.partner)
        return _Step(row.id, "waiting", "file" if by_file else "retry", not_there)

    return await _repair(database, ids, who, decide, None, desk)


async def skip(database: AsyncEngine, ids: Sequence[int], reason: str, who: str) -> Repaired:
    """Waiting or needs a person → skipped, for good; later ones of its lane go on. Raises NoSuchDelivery, BadReason."""
    said = checked(reason)

    def decide(row: Any, _: datetime) -> _Step | str:
        if row.state not in ("waiting", "human"):
            return f"it is {row.state}; only what waits or needs a person can be skipped"
        return _Step(row.id, "skipped", None, False)

    return await _repair(database, ids, who, decide, said)


async def confirm(database: AsyncEngine, ids: Sequence[int], reason: str, who: str) -> Repaired:
    """Needs a person → delivered, because a person has seen it at the partner. Raises NoSuchDelivery, BadReason."""
    said = checked(reason)

    def decide(row: Any, _: datetime) -> _Step | str:
        if row.state != "human":
            return f"it is {row.state}; only what needs a person can be confirmed"
        if row.attempt == 0:
            return "the hub never tried to send it, so the partner cannot have it from here"
        return _Step(row.id, "delivered", None, True)

    return await _repair(database, ids, who, decide, said)


async def like(database: AsyncEngine, id: int) -> list[int]:
    """All deliveries that need a person as this one does: same partner, reason and code. Raises NoSuchDelivery."""
    async with transaction(database) as connection:
        found = await rows(
            connection,
            "select o.id from delivery d join delivery o on o.partner = d.partner and o.state = 'human' "
            "and o.reason = d.reason and o.code is not distinct from d.code where d.id = :id order by o.no, o.replay",
            id=id,
        )
        if not found and await scalar(connection, "select 1 from delivery where id = :id", id=id) is None:
            raise NoSuchDelivery(f"there is no delivery {id}")
    return [r.id for r in found]


def checked(reason: str) -> str:
    """The reason as it is kept. Raises BadReason: it stays in an append-only log that a person's erasure does not reach."""
    text = " ".join(reason.split())
    if not 3 <= len(text) <= 200 or not text.isprintable():
        raise BadReason("say why in 3 to 200 characters")
    if re.search(r"@|(?:[0-9][ .]?){9}", text):
        raise BadReason("the reason is kept for ever: write no e-mail address and no number of a person")
    return text


def _safe_again(desk: Desk, row: Any, now: datetime) -> bool:
    """Whether sending a marked item again cannot have a second effect."""
    out: Outbound | None = desk.partner(row.partner).outbound
    if out is None or out.transport == "file":
        return False
    if out.unknown_outcome == "look_up":
        return True
    ends = now + timedelta(seconds=out.deadline + out.settles_within)
    return out.unknown_outcome == "key" and ends <= row.marked_at + timedelta(seconds=out.key_lifetime)


async def _repair(
    database: AsyncEngine,
    ids: Sequence[int],
    who: str,
    decide: _Decide,
    said: str | None,
    desk: Desk | None = None,
) -> Repaired:
    """In slices, so that no partner's lock is held for long; each slice is one transaction."""
    result = Repaired()
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), SLICE):
        part = wanted[start : start + SLICE]
        async with transaction(database) as connection:
            if desk is not None:
                await desk.refresh(connection)
            found = await _locked(connection, part)
            now = await scalar(connection, "select hub_now()")
            steps = []
            for row in found:
                step = _untouchable(row, now) or decide(row, now)
                if isinstance(step, str):
                    result.refused[row.id] = step
                else:
                    steps.append(step)
            await _write(connection, steps, {row.id: row for row in found}, who, said)
        result.done += [step.id for step in steps]
    return result


async def _locked(connection: AsyncConnection, ids: Sequence[int]) -> list[Any]:
    """The partners' locks, then the rows in their order. Raises NoSuchDelivery."""
    known = await rows(
        connection, "select id, partner from delivery where id = any(cast(:ids as bigint[]))", ids=list(ids)
    )
    if missing := set(ids) - {r.id for r in known}:
        raise NoSuchDelivery(f"there is no delivery {', '.join(map(str, sorted(missing)))}")
    await lane.lock_partners(connection, sorted({r.partner for r in known}))
    return await rows(
        connection,
        """
        select d.*, (select f.name from file_item i join file f on f.id = i.file
                     where i.delivery = d.id and f.state <> 'settled' limit 1) as in_file
        from delivery d where d.id = any(cast(:ids as bigint[])) order by d.no, d.replay for update of d
        """,
        ids=list(ids),
    )


def _untouchable(row: Any, now: datetime) -> str | None:
    """Why nobody may touch this item now, whatever is to be done with it."""
    if row.in_file is not None:
        return f"it is in the file {row.in_file}, which is under way: wait for its verdict"
    if row.state == "sending":
        return "it is being sent at this moment"
    if row.marked_by is not None and row.lease_until > now and row.state in ("waiting", "human"):
        until = f"{row.lease_until.astimezone(PARIS):%Y-%m-%d %H:%M:%S %Z}"
        return f"it may be reaching the partner just now: nothing can be done with it before {until}"
    return None


async def _write(
    connection: AsyncConnection, steps: Sequence[_Step], before: dict[int, Any], who: str, said: str | None
) -> None:
    """The new states, the log, the lanes. `wake` gives the head its due, never before the lease of a kept mark; without
    a mark nothing may be under way, so the lease goes and the head is due at once."""
    if not steps:
        return
    await run(
        connection,
        """
        update delivery d set state = u.state, reason = u.reason, code = case when u.state = 'waiting' then null else d.code end,
            due = null, tries = case when u.state = 'waiting' then 0 else d.tries end,
            settled_at = (select hub_now()),
            marked_by = case when u.unmark then null else d.marked_by end,
            marked_at = case when u.unmark then null else d.marked_at end,
            lease_until = case when u.unmark or d.marked_by is null then null else d.lease_until end
        from unnest(cast(:ids as bigint[]), cast(:states as text[]), cast(:reasons as text[]), cast(:unmarks as bool[]))
             as u(id, state, reason, unmark)
        where d.id = u.id
        """,
        ids=[s.id for s in steps],
        states=[s.state for s in steps],
        reasons=[s.reason for s in steps],
        unmarks=[s.unmark for s in steps],
    )
    await lane.write_log(
        connection,
        [
            lane.LogLine(
                s.id,
                before[s.id].attempt,
                before[s.id].state,
                s.state,
                said or s.reason,
                before[s.id].code,
                who,
            )
            for s in steps
        ],
    )
    await lane.wake(connection, sorted({(before[s.id].partner, before[s.id].person) for s in steps}))
    await run(connection, "notify hub_due")
