"""Claim: one transaction that takes the heads of many lanes, reads the rights of this moment and stores what will leave.

Order of locks: gate shared, the partners' (tried), then rows. Nothing outside is called in it (protocol.md §4, §6).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery import lane
from hub.delivery.compose import Composed, Item, SealedEvent, compose_all, stored
from hub.delivery.desk import Desk, PartnerDesk
from hub.people.keys import KeyLost, KeyServiceDown
from hub.rights.view import Withheld
from hub.sdk.outbound import Message, Nothing, Recipient
from hub.store.database import rows, run, scalar, transaction

log = logging.getLogger("hub.delivery")


class Head(NamedTuple):
    """A due delivery as the claim reads it; `head` = it is its lane's head."""

    id: int
    no: int
    replay: int
    partner: str
    person: UUID
    record: str
    matter: str | None
    attempt: int
    tries: int
    marked_by: int | None
    marked_at: datetime | None
    message_hash: bytes | None
    created_at: datetime
    head: bool


_COLUMNS = ", ".join(f"d.{name}" for name in Head._fields[:-1])


class Claimed(NamedTuple):
    """An item that is now sending. `deadline` is a reading of the monotonic clock, in seconds; `marked` is true when an
    earlier attempt may have reached the partner."""

    delivery: int
    no: int
    event_id: UUID
    replay: int
    partner: str
    person: UUID
    record: str
    matter: str | None
    attempt: int
    tries: int
    marked: bool
    marked_by: int
    marked_at: datetime
    claimed_at: datetime
    created_at: datetime
    deadline: float
    message: Message
    recipient: Recipient
    echo: bytes | None

    @property
    def idempotency_key(self) -> str:
        """Event id, then event id + replay id: stable over the retries of one delivery."""
        return f"{self.event_id}:{self.replay}" if self.replay else str(self.event_id)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim took: items to send, how many it closed instead, and per composed item (partner, was it poison)."""

    items: list[Claimed] = field(default_factory=list)
    closed: int = 0
    composed: list[tuple[str, bool]] = field(default_factory=list)


@dataclass(slots=True)
class _Sends:
    rows: list[tuple[int, bytes, datetime, datetime, int, int]]
    messages: list[tuple[int, Composed]]
    claimed: list[Claimed]


@dataclass(frozen=True, slots=True)
class Closes:
    """An item that does not leave now: closed, or waiting for the key service (with a due)."""

    row: Any
    state: str
    reason: str
    due: datetime | None = None
    code: str | None = None


Prepared = Closes | tuple[Message, Recipient, Composed | None]
"""What becomes of a due head: closed, or a message for a recipient, newly composed or (None) as it was stored."""


async def claim(database: AsyncEngine, desk: Desk, slots: Mapping[str, int], monotonic: float) -> Taken:
    """Claim due heads at the partners of `slots` (partner → free sending slots). `monotonic` is the monotonic clock read
    before the call: deadlines count from it. Partners whose lock is taken are left for the next tick."""
    async with transaction(database) as connection:
        await lane.gate_shared(connection, [desk.territory_lock(p) for p in slots])
        partners = await lane.try_partners(connection, list(slots))
        if not partners:
            return Taken()
        await desk.refresh(connection)
        await lane.lapse(connection, partners, [p for p in partners if desk.partner(p).unsure])
        rates = {
            p: rate for p in partners if (rate := desk.partner(p).outbound and desk.partner(p).outbound.rate)
        }
        tokens = await _tokens(connection, rates) if rates else {}
        found = await due_heads(connection, {p: min(slots[p], tokens.get(p, slots[p])) for p in partners})
        losers = [r.id for r in found if not r.head]
        if losers:
            await run(
                connection,
                "update delivery set due = null where id = any(cast(:ids as bigint[]))",
                ids=losers,
            )
        heads = [r for r in found if r.head]
        if not heads:
            return Taken()
        now = await scalar(connection, "select hub_now()")
        taken = await _take(connection, desk, heads, now, monotonic)
        if rates:
            await _spend(connection, Counter(item.partner for item in taken.items if item.partner in rates))
        return taken


async def _tokens(connection: AsyncConnection, rates: Mapping[str, float]) -> dict[str, int]:
    """What each partner with a rate (messages a second) may get now: its token row, filled up to one second's worth."""
    found = await rows(
        connection,
        """
        update partner p set tokens_at = clock_timestamp(),
            tokens = least(greatest(u.rate, 1), coalesce(p.tokens, 1) + u.rate * coalesce(extract(epoch from clock_timestamp() - p.tokens_at), 0))
        from unnest(cast(:ids as text[]), cast(:rates as float8[])) as u(id, rate) where p.id = u.id returning p.id, p.tokens
        """,
        ids=list(rates),
        rates=list(rates.values()),
    )
    return {row.id: int(row.tokens) for row in found}


async def _spend(connection: AsyncConnection, sent: Mapping[str, int]) -> None:
    """Take the tokens of what is about to be sent."""
    await run(
        connection,
        "update partner p set tokens = p.tokens - u.n from unnest(cast(:ids as text[]), cast(:counts as int[])) as u(id, n) "
        "where p.id = u.id",
        ids=list(sent),
        counts=list(sent.values()),
    )


async def due_heads(connection: AsyncConnection, slots: Mapping[str, int]) -> list[Head]:
    """The due items of each partner that is loaded and not paused (one probe when its automatic pause has run out),
    unless an older event of their person is unrouted; `head` says whether the item is its lane's head."""
    found = await rows(
        connection,
        f"""
        select {_COLUMNS}, h.id = d.id as head
        from unnest(cast(:partners as text[]), cast(:slots as int[])) as want(partner, slots)
        join partner p on p.id = want.partner and p.loaded and p.removed_at is null
        cross join lateral (
            select case when count(*) filter (where until is null or until > (select hub_now())) > 0 then 0
                        when count(*) filter (where kind = 'unavailable') = 0 then want.slots
                        when (select 1 from delivery s where s.partner = p.id and s.state = 'sending' limit 1) is null then 1
                        else 0 end as n
            from pause where pause.partner = p.id
        ) may
        cross join lateral (
            select c.* from delivery c
            where c.partner = p.id and c.state = 'waiting' and c.due <= (select hub_now())
            order by c.due limit may.n
        ) d
        cross join lateral (
            select l.id, l.state from delivery l
            where l.person = d.person and l.partner = d.partner and l.state in ('waiting', 'sending', 'human')
            order by l.state = 'sending' desc, (l.marked_by is not null) desc, l.no, l.replay limit 1
        ) h
        where (select 1 from event_way w where w.person = d.person and w.routed_at is null and w.no < d.no limit 1) is null
          and h.state <> 'sending'
        order by d.no, d.replay
        for update of d
        """,
        partners=list(slots),
        slots=list(slots.values()),
    )
    return [Head(*row) for row in found]


async def _take(
    connection: AsyncConnection, desk: Desk, heads: Sequence[Head], now: datetime, monotonic: float
) -> Taken:
    events = await load_events(connection, {r.no for r in heads})
    terms = {p: _terms(desk, p, now, monotonic) for p in {r.partner for r in heads}}
    kinds = frozenset().union(*(its.partner.opens for its in terms.values()))
    people = await desk.people(
        connection, {r.person for r in heads}, {e.person for e in events.values()}, kinds
    )
    kept = await _stored_messages(connection, [r.id for r in heads if r.marked_by is not None])
    sends, closes = _Sends([], [], []), []
    for row, outcome in zip(heads, _outcomes(desk, terms, heads, events, people, kept, now), strict=True):
        if isinstance(outcome, Closes):
            closes.append(outcome)
        else:
            _add(sends, row, events[row.no], terms[row.partner], now, *outcome)
    await _write_sends(connection, sends)
    await write_closes(connection, closes)
    composed = [(c.row.partner, c.reason == "poison") for c in closes] + [
        (c.partner, False) for c in sends.claimed
    ]
    return Taken(sends.claimed, len(closes), composed)


def _outcomes(
    desk: Desk,
    terms: Mapping[str, _Terms],
    heads: Sequence[Head],
    events: Mapping[int, SealedEvent],
    people: Mapping[UUID, Any],
    kept: Mapping[int, Any],
    now: datetime,
) -> list[Prepared]:
    """What becomes of each head. All together, step by step; as soon as something is wrong with one, each by itself."""
    if not kept:
        try:
            return _prepare_all(desk, terms, heads, events, people, now)
        except Exception as error:
            log.debug("%d items are prepared one by one: %s", len(heads), type(error).__name__)
    return [
        prepare(desk, terms[row.partner].partner, row, events[row.no], people, kept.get(row.id), now)
        for row in heads
    ]


def _prepare_all(
    desk: Desk,
    terms: Mapping[str, _Terms],
    heads: Sequence[Head],
    events: Mapping[int, SealedEvent],
    people: Mapping[UUID, Any],
    now: datetime,
) -> list[Prepared]:
    """As `prepare` for unmarked items, a fifth faster: one piece of code at a time stays in the processor's caches.
    Raises what `prepare` catches."""
    partners = [terms[row.partner].partner for row in heads]
    views = [
        desk.view(partner, events[row.no], people[row.person], now)
        for row, partner in zip(heads, partners, strict=True)
    ]
    recipients = [
        desk.recipient(partner, row.person, people[row.person])
        for row, partner in zip(heads, partners, strict=True)
    ]
    items = [
        Item(events[row.no], view, recipient, partner.connector, row.id)
        for row, view, recipient, partner in zip(heads, views, recipients, partners, strict=True)
        if not isinstance(view, Withheld)
    ]
    composed = iter(compose_all(items, desk.master, desk.codec, desk.keys))
    return [
        Closes(row, "withheld", view.reason)
        if isinstance(view, Withheld)
        else _prepared(row, recipient, next(composed))
        for row, view, recipient in zip(heads, views, recipients, strict=True)
    ]


def _prepared(row: Any, recipient: Recipient, composed: Composed | Nothing) -> Prepared:
    if isinstance(composed, Nothing):
        return Closes(row, "withheld", "nothing_to_say")
    return composed.message, recipient, composed


def prepare(
    desk: Desk,
    partner: PartnerDesk,
    row: Any,
    event: SealedEvent,
    people: Any,
    kept: Any | None,
    now: datetime,
) -> Prepared:
    """Rights, keys, translation of one item; what goes wrong with it concerns it alone."""
    view = desk.view(partner, event, people[row.person], now)
    if isinstance(view, Withheld):
        return Closes(row, "withheld", view.reason)
    try:
        recipient = desk.recipient(partner, row.person, people[row.person])
        if kept is not None:
            released = {f"released.{kind}" for kind in recipient.released}
            if view.less_than(f for f in kept.fields if f not in released):
                return Closes(row, "withheld", "less_than_stored")
            return stored(kept.sealed, event.person, row.id, desk.keys), recipient, None
        item = Item(event, view, recipient, partner.connector, row.id)
        return _prepared(row, recipient, *compose_all([item], desk.master, desk.codec, desk.keys))
    except KeyServiceDown:
        return Closes(row, "waiting", "key_service", due=now + timedelta(minutes=1))
    except KeyLost:
        return Closes(row, "human", "key_lost")
    except Exception as error:
        # a bug in a connector poisons this item; the type names it, the text could hold personal data
        return Closes(row, "human", "poison", code=type(error).__name__)


class _Terms(NamedTuple):
    """What all items of one partner in one claim share. `ends` is a reading of the monotonic clock."""

    partner: PartnerDesk
    deadline: datetime
    lease: datetime
    configuration: int
    version: int
    ends: float


def _terms(desk: Desk, name: str, now: datetime, monotonic: float) -> _Terms:
    partner = desk.partner(name)
    out = partner.outbound
    deadline = now + timedelta(seconds=out.deadline)
    return _Terms(
        partner,
        deadline,
        deadline + timedelta(seconds=out.settles_within),
        desk.version(partner.territory),
        partner.connector.manifest.version,
        monotonic + out.deadline,
    )


def _add(
    sends: _Sends,
    row: Head,
    event: SealedEvent,
    its: _Terms,
    now: datetime,
    message: Message,
    recipient: Recipient,
    composed: Composed | None,
) -> None:
    delivery, marked_by, attempt = row.id, row.marked_by, row.attempt + 1
    if composed is None:
        digest, echo = row.message_hash, None
    else:
        digest, echo = composed.hash, composed.echo
        sends.messages.append((delivery, composed))
    sends.rows.append((delivery, digest, its.deadline, its.lease, its.configuration, its.version))
    sends.claimed.append(
        Claimed(
            delivery, row.no, event.id, row.replay, row.partner, row.person, row.record, row.matter, attempt, row.tries,
            marked_by is not None, marked_by or attempt, row.marked_at or now, now, row.created_at, its.ends, message,
            recipient, echo,
        )
    )  # fmt: skip


async def _write_sends(connection: AsyncConnection, sends: _Sends) -> None:
    if not sends.rows:
        return
    ids, hashes, deadlines, leases, configurations, versions = zip(*sends.rows, strict=True)
    await run(
        connection,
        """
        update delivery d set state = 'sending', reason = null, code = null, due = null, attempt = d.attempt + 1,
            claimed_at = (select hub_now()), deadline = u.deadline, lease_until = greatest(u.lease, d.lease_until),
            marked_by = coalesce(d.marked_by, d.attempt + 1), marked_at = coalesce(d.marked_at, (select hub_now())),
            message_hash = u.hash, configuration = u.configuration, connector_version = u.version
        from unnest(cast(:ids as bigint[]), cast(:hashes as bytea[]), cast(:deadlines as timestamptz[]), cast(:leases as timestamptz[]),
                    cast(:configurations as int[]), cast(:versions as int[])) as u(id, hash, deadline, lease, configuration, version)
        where d.id = u.id
        """,
        ids=list(ids),
        hashes=list(hashes),
        deadlines=list(deadlines),
        leases=list(leases),
        configurations=list(configurations),
        versions=list(versions),
    )
    await write_messages(connection, sends.messages)


async def write_messages(connection: AsyncConnection, messages: Sequence[tuple[int, Composed]]) -> None:
    """Store what is about to leave, sealed, with the view's fields (a later claim may see less)."""
    if messages:
        await run(
            connection,
            "insert into message (delivery, sealed, fields, echo) select u.id, u.sealed, string_to_array(u.fields, ' '), u.echo "
            "from unnest(cast(:ids as bigint[]), cast(:sealed as bytea[]), cast(:fields as text[]), cast(:echoes as bytea[])) "
            "as u(id, sealed, fields, echo) on conflict (delivery) do update set sealed = excluded.sealed, "
            "fields = excluded.fields, echo = excluded.echo, composed_at = clock_timestamp()",
            ids=[delivery for delivery, _ in messages],
            sealed=[composed.sealed for _, composed in messages],
            fields=[_spelled(composed.fields) for _, composed in messages],
            echoes=[composed.echo for _, composed in messages],
        )


@lru_cache(maxsize=4096)
def _spelled(fields: frozenset[str]) -> str:
    return " ".join(sorted(fields))


async def write_closes(connection: AsyncConnection, closes: Sequence[Closes]) -> None:
    """Items that do not leave: withheld, human, or waiting for the key service. A marked item whose rights shrank is
    withheld only after its lease, which is the case here: a due item has none running."""
    if not closes:
        return
    await run(
        connection,
        """
        update delivery d set state = u.state, reason = u.reason, code = u.code, due = u.due, settled_at = (select hub_now())
        from unnest(cast(:ids as bigint[]), cast(:states as text[]), cast(:reasons as text[]), cast(:codes as text[]),
                    cast(:dues as timestamptz[])) as u(id, state, reason, code, due)
        where d.id = u.id
        """,
        ids=[c.row.id for c in closes],
        states=[c.state for c in closes],
        reasons=[c.reason for c in closes],
        codes=[c.code for c in closes],
        dues=[c.due for c in closes],
    )
    gone = [c for c in closes if c.state != "waiting"]
    await lane.write_log(
        connection,
        [lane.LogLine(c.row.id, c.row.attempt, "waiting", c.state, c.reason, c.code) for c in gone],
    )
    await lane.wake(connection, [(c.row.partner, c.row.person) for c in gone])


async def load_events(connection: AsyncConnection, numbers: set[int]) -> dict[int, SealedEvent]:
    """The events by number, bodies sealed."""
    found = await rows(
        connection,
        "select no, id, record, version, territory, person, body, occurred_at, facts from event where no = any(cast(:nos as bigint[]))",
        nos=list(numbers),
    )
    return {row[0]: SealedEvent(*row) for row in found}


async def _stored_messages(connection: AsyncConnection, deliveries: Sequence[int]) -> dict[int, Any]:
    if not deliveries:
        return {}
    found = await rows(
        connection,
        "select delivery, sealed, fields from message where delivery = any(cast(:ids as bigint[]))",
        ids=list(deliveries),
    )
    return {r.delivery: r for r in found}
