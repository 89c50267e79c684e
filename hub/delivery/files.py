"""Delivery by file: closing the window *is* the claim, and every verdict goes to all rows of the file, in order.

Freeze the composition → write a temporary → commit *ready* → rename → settle (protocol.md §4, *Files*). Each lane's head
becomes sending; its riders, the items after it in the same file, stay waiting(file), marked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery import lane
from hub.delivery.claim import Closes, load_events, prepare, write_closes, write_messages
from hub.delivery.compose import Composed, stored
from hub.delivery.desk import Desk, PartnerDesk
from hub.delivery.guard import Guard
from hub.delivery.retry import rules
from hub.delivery.settle import pause_unavailable, probe_failed
from hub.delivery.window import last_boundary
from hub.sdk.outbound import Message
from hub.sdk.transports import files as drop
from hub.store.database import rows, run, scalar, transaction

log = logging.getLogger("hub.delivery")


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A frozen composition under way. `deadline` is a reading of the monotonic clock, in seconds."""

    id: int
    partner: str
    name: str
    attempt: int
    deadline: float
    messages: tuple[Message, ...]


class FileDesk:
    """Closes windows, writes files and settles them for all partners with ``transport = "file"``."""

    def __init__(self, database: AsyncEngine, desk: Desk, guard: Guard) -> None:
        self.database, self.desk, self.guard = database, desk, guard

    async def step(self) -> bool:
        """Take up what a dead process left, then close due windows. True when a file was handled."""
        async with transaction(self.database) as connection:
            await self.desk.refresh(connection)
            partners = [
                r.partner
                for r in await rows(
                    connection,
                    "select distinct partner from delivery where state = 'waiting' and reason = 'file' "
                    "union select partner from file where state <> 'settled' order by 1",
                )
            ]
        worked = False
        for partner in partners:
            desk = self.desk.partner(partner)
            taken = await self._take_up(desk) or await self._freeze(desk)
            if taken is not None:
                await self.leave(desk, taken)
                worked = True
        return worked

    async def leave(self, desk: PartnerDesk, file: OpenFile) -> None:
        """Write, commit ready, rename, settle. A folder that cannot be written pauses the partner; the rows wait."""
        self.guard.open(file.deadline)
        try:
            data = desk.connector.outbound.render(list(file.messages), desk.settings)
            await self.write(desk, file, data)
            if await self.mark_ready(file):
                await self.rename(desk, file)
                await self.settle(file, "delivered")
        except OSError as error:
            log.warning(
                "file %s for partner %s not written: %s", file.name, file.partner, type(error).__name__
            )
            limits = rules()["pause"]
            if not await probe_failed(self.database, file.partner, limits["probe_most"]):
                await pause_unavailable(self.database, file.partner, limits["probe_first"])
            await self.settle(file, "retry")
        except Exception as error:
            log.error("render of partner %s failed: %s", file.partner, type(error).__name__)
            await self.settle(file, "poison")
        finally:
            self.guard.close(file.deadline)

    async def write(self, desk: PartnerDesk, file: OpenFile, data: bytes) -> None:
        """The temporary, in the target folder, fsynced; older attempts' temporaries go."""
        folder = _folder(desk)
        await asyncio.to_thread(drop.write_temporary, folder, file.name, file.attempt, data)
        await asyncio.to_thread(drop.delete_older_temporaries, folder, file.name, file.attempt)

    async def mark_ready(self, file: OpenFile) -> bool:
        """From here on the file may leave; False when a newer attempt took it over."""
        async with transaction(self.database) as connection:
            return bool(
                await run(
                    connection,
                    "update file set state = 'ready' where id = :id and attempt = :attempt and state = 'frozen'",
                    id=file.id,
                    attempt=file.attempt,
                )
            )

    async def rename(self, desk: PartnerDesk, file: OpenFile) -> None:
        """The final name: the partner may take it."""
        await asyncio.to_thread(drop.publish, _folder(desk), file.name, file.attempt)

    async def _freeze(self, desk: PartnerDesk) -> OpenFile | None:
        """One transaction that fixes what the next file of this partner holds; None when nothing is due."""
        out, monotonic = desk.outbound, self.guard.now()
        async with transaction(self.database) as connection:
            await lane.gate_shared(connection, [self.desk.territory_lock(desk.id)])
            if not await lane.try_partners(connection, [desk.id]):
                return None
            await self.desk.refresh(connection)
            now = await scalar(connection, "select hub_now()")
            found = await _eligible(
                connection, desk.id, last_boundary(out.window.every, now), out.window.max_rows
            )
            if not found:
                return None
            kept, closes = await self._compose(connection, desk, found, now)
            await write_closes(connection, closes)
            if not kept:
                return None
            return await self._store(connection, desk, kept, now, monotonic)

    async def _compose(
        self, connection: AsyncConnection, desk: PartnerDesk, found: Sequence[Any], now: datetime
    ) -> tuple[list[tuple[Any, Composed, int]], list[Closes]]:
        """Rows of one action, each with its rank in its lane; a lane stops at its first item of another action or
        that needs a human or the key service."""
        events = await load_events(connection, {r.no for r in found})
        people = await self.desk.people(
            connection, {r.person for r in found}, {e.person for e in events.values()}
        )
        kept: list[tuple[Any, Composed, int]] = []
        closes: list[Closes] = []
        ranks: dict[Any, int] = {}
        stopped: set[Any] = set()
        action: str | None = None
        for row in found:
            if row.person in stopped:
                continue
            outcome = prepare(self.desk, desk, row, events[row.no], people, None, now)
            if isinstance(outcome, Closes):
                if outcome.state != "waiting":
                    closes.append(outcome)
                if outcome.state != "withheld":
                    stopped.add(row.person)
                continue
            message, _, composed = outcome
            action = action or message.action
            if message.action != action:
                stopped.add(row.person)
                continue
            ranks[row.person] = ranks.get(row.person, 0) + 1
            kept.append((row, composed, ranks[row.person]))
        return kept, closes

    async def _store(
        self,
        connection: AsyncConnection,
        desk: PartnerDesk,
        kept: Sequence[tuple[Any, Composed, int]],
        now: datetime,
        monotonic: float,
    ) -> OpenFile:
        out = desk.outbound
        deadline = now + timedelta(seconds=out.deadline)
        lease = deadline + timedelta(seconds=out.settles_within)
        number = await scalar(connection, "select nextval(pg_get_serial_sequence('file', 'id'))")
        action = kept[0][1].message.action
        name = out.window.name.format(
            action=drop.plain(action), date=f"{now:%Y%m%d}", time=f"{now:%H%M%S}", number=number
        )
        await run(
            connection,
            "insert into file (id, partner, name, claimed_at, deadline, lease_until) overriding system value "
            "values (:id, :p, :name, :now, :deadline, :lease)",
            id=number, p=desk.id, name=drop.safe_name(name), now=now, deadline=deadline, lease=lease,
        )  # fmt: skip
        await run(
            connection,
            "insert into file_item (file, ordinal, delivery, rank) select :f, u.n, u.id, u.rank "
            "from unnest(cast(:ids as bigint[]), cast(:ranks as int[])) with ordinality as u(id, rank, n)",
            f=number,
            ids=[row.id for row, _, _ in kept],
            ranks=[rank for _, _, rank in kept],
        )
        await run(
            connection,
            """
            update delivery d set attempt = d.attempt + 1, state = case when u.rank = 1 then 'sending' else d.state end,
                reason = case when u.rank = 1 then null else d.reason end, due = null,
                claimed_at = :now, deadline = :deadline, lease_until = greatest(:lease, d.lease_until),
                marked_by = d.attempt + 1, marked_at = :now, message_hash = u.hash,
                configuration = :configuration, connector_version = :version
            from unnest(cast(:ids as bigint[]), cast(:ranks as int[]), cast(:hashes as bytea[])) as u(id, rank, hash)
            where d.id = u.id
            """,
            now=now,
            deadline=deadline,
            lease=lease,
            configuration=self.desk.version(desk.territory),
            version=desk.connector.manifest.version,
            ids=[row.id for row, _, _ in kept],
            ranks=[rank for _, _, rank in kept],
            hashes=[composed.hash for _, composed, _ in kept],
        )
        await write_messages(connection, [(row.id, composed) for row, composed, _ in kept])
        return OpenFile(
            number, desk.id, name, 1, monotonic + out.deadline, tuple(c.message for _, c, _ in kept)
        )

    async def _take_up(self, desk: PartnerDesk) -> OpenFile | None:
        """A file whose process died: after its lease, look what happened and go on from there (None = nothing to write)."""
        monotonic, out = self.guard.now(), desk.outbound
        async with transaction(self.database) as connection:
            await lane.gate_shared(connection, [self.desk.territory_lock(desk.id)])
            if not await lane.try_partners(connection, [desk.id]):
                return None
            file = next(
                iter(
                    await rows(
                        connection,
                        "select * from file where partner = :p and state <> 'settled' and lease_until <= (select hub_now()) for update",
                        p=desk.id,
                    )
                ),
                None,
            )
            if file is None:
                return None
            if file.state == "ready":
                open_file = OpenFile(file.id, desk.id, file.name, file.attempt, monotonic + out.deadline, ())
                return await self._finish(connection, desk, open_file)
            return await self._again(connection, desk, file, monotonic)

    async def _finish(self, connection: AsyncConnection, desk: PartnerDesk, file: OpenFile) -> None:
        """Ready: it leaves now, has left, or nobody can tell."""
        seen = drop.look(_folder(desk), file.name, file.attempt, _archives(desk))
        if seen.temporary and not seen.left:
            drop.publish(_folder(desk), file.name, file.attempt)
            verdict = "delivered"
        else:
            verdict = "delivered" if seen.left else "human"
        await _settle_rows(connection, file, verdict)

    async def _again(
        self, connection: AsyncConnection, desk: PartnerDesk, file: Any, monotonic: float
    ) -> OpenFile:
        """Not ready: nothing left; the same composition is written again under the next attempt, byte for byte."""
        out = desk.outbound
        now = await scalar(connection, "select hub_now()")
        deadline = now + timedelta(seconds=out.deadline)
        lease = deadline + timedelta(seconds=out.settles_within)
        await run(
            connection,
            "update file set attempt = attempt + 1, claimed_at = :now, deadline = :deadline, lease_until = :lease where id = :id",
            id=file.id, now=now, deadline=deadline, lease=lease,
        )  # fmt: skip
        heads = await rows(
            connection,
            "update delivery d set state = 'waiting', reason = 'file' from file_item i "
            "where i.file = :f and i.delivery = d.id and d.state = 'sending' returning d.id, d.attempt",
            f=file.id,
        )
        await lane.write_log(
            connection, [lane.LogLine(r.id, r.attempt, "sending", "waiting", "file", "lapsed") for r in heads]
        )
        await run(
            connection,
            """
            update delivery d set attempt = d.attempt + 1, state = case when i.rank = 1 then 'sending' else d.state end,
                reason = case when i.rank = 1 then null else d.reason end,
                claimed_at = :now, deadline = :deadline, lease_until = greatest(:lease, d.lease_until)
            from file_item i where i.file = :f and i.delivery = d.id
            """,
            f=file.id, now=now, deadline=deadline, lease=lease,
        )  # fmt: skip
        messages = await self._kept(connection, file.id)
        return OpenFile(file.id, desk.id, file.name, file.attempt + 1, monotonic + out.deadline, messages)

    async def _kept(self, connection: AsyncConnection, file: int) -> tuple[Message, ...]:
        found = await rows(
            connection,
            "select m.delivery, m.sealed, e.person, d.person as root from file_item i join message m on m.delivery = i.delivery "
            "join delivery d on d.id = i.delivery join event e on e.no = d.no where i.file = :f order by i.ordinal",
            f=file,
        )
        await self.desk.people(connection, {r.root for r in found}, {r.person for r in found})
        return tuple(stored(r.sealed, r.person, r.delivery, self.desk.keys) for r in found)

    async def settle(self, file: OpenFile, verdict: str) -> None:
        """The verdict, for all rows of the file, in order. Idempotent: a settled file or a newer attempt stays as it is."""
        async with transaction(self.database) as connection:
            await lane.lock_partners(connection, [file.partner])
            await _settle_rows(connection, file, verdict)


async def _eligible(connection: AsyncConnection, partner: str, before: datetime, most: int) -> list[Any]:
    """Items of a closed window in `no` order: no older event of their person unrouted, nothing older of their lane open
    except items that can travel with them; none while a file of this partner is open or the partner is paused."""
    return await rows(
        connection,
        """
        select d.* from delivery d join partner p on p.id = d.partner and p.loaded and p.removed_at is null
        where d.partner = :p and d.state = 'waiting' and d.reason = 'file' and d.marked_by is null and d.created_at <= :before
          and not exists (select 1 from file f where f.partner = :p and f.state <> 'settled')
          and not exists (select 1 from pause where pause.partner = :p and (until is null or until > (select hub_now())))
          and not exists (select 1 from event_way w where w.person = d.person and w.routed_at is null and w.no < d.no)
          and not exists (select 1 from delivery b where b.person = d.person and b.partner = :p
                          and b.state in ('waiting', 'human', 'sending') and (b.no, b.replay) < (d.no, d.replay)
                          and not (b.state = 'waiting' and b.reason = 'file'))
        order by d.no, d.replay limit :n for update of d
        """,
        p=partner,
        before=before,
        n=most,
    )


async def _settle_rows(connection: AsyncConnection, file: OpenFile, verdict: str) -> None:
    """Rank by rank, so that a lane's items close one after the other under the one-sending rule."""
    still = await run(
        connection,
        "update file set state = 'settled', verdict = :v where id = :id and attempt = :attempt and state <> 'settled'",
        id=file.id, v=verdict, attempt=file.attempt,
    )  # fmt: skip
    if not still:
        return
    state, reason = {
        "delivered": ("delivered", None),
        "retry": ("waiting", "file"),
        "poison": ("human", "poison"),
        "human": ("human", "unknown_outcome"),
    }[verdict]
    unmark = verdict != "human"
    items = await rows(
        connection,
        "select i.rank, i.delivery, d.person, d.attempt from file_item i join delivery d on d.id = i.delivery where i.file = :f order by i.rank",
        f=file.id,
    )
    lines = []
    for rank in sorted({r.rank for r in items}):
        ids = [r.delivery for r in items if r.rank == rank]
        if rank > 1 and state != "waiting":
            await run(
                connection,
                "update delivery set state = 'sending', reason = null where id = any(cast(:ids as bigint[]))",
                ids=ids,
            )
        await run(
            connection,
            """
            update delivery set state = :state, reason = :reason, settled_at = (select hub_now()),
                marked_by = case when :unmark then null else marked_by end,
                marked_at = case when :unmark then null else marked_at end
            where id = any(cast(:ids as bigint[]))
            """,
            ids=ids, state=state, reason=reason, unmark=unmark,
        )  # fmt: skip
        lines += [
            lane.LogLine(r.delivery, r.attempt, "sending", state, reason, verdict)
            for r in items
            if r.rank == rank
            and not (state == "waiting" and rank > 1)
            and not (state == "delivered" and r.attempt == 1)
        ]
    if state == "delivered":
        await _told(connection, file)
    await lane.write_log(connection, lines)
    await lane.wake(connection, [(file.partner, r.person) for r in items])


async def _told(connection: AsyncConnection, file: OpenFile) -> None:
    """Remember what the file told of each matter, by keyed hash of the echo fields: its newest item counts."""
    await run(
        connection,
        """
        insert into told (partner, person, matter, hash, no)
        select distinct on (d.partner, d.person, d.matter) d.partner, d.person, d.matter, m.echo, d.no
        from file_item i join delivery d on d.id = i.delivery join message m on m.delivery = d.id
        where i.file = :f and m.echo is not null and d.matter is not null
        order by d.partner, d.person, d.matter, d.no desc
        on conflict (partner, person, matter) do update set hash = excluded.hash, no = excluded.no
        where told.no <= excluded.no
        """,
        f=file.id,
    )


def _folder(desk: PartnerDesk) -> Path:
    return Path(desk.settings["folder"])


def _archives(desk: PartnerDesk) -> list[Path]:
    archive = desk.settings.get("archive")
    return [Path(archive)] if archive else []
