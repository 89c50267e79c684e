"""What the demo sees of a run: who got what, from SQL; and whether everything has come to rest, at the hub and at the twins.

At rest = nothing waits without one of the reasons that the demo itself prepared, in two looks between which nothing moved;
so no time-out decides that a slow machine has finished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.store.database import rows, transaction

#: What the demo's people make some deliveries wait for: a person whom France Travail cannot find, finds twice, or refuses.
PREPARED = (("waiting", "identity"), ("human", "several_matches"), ("human", "blocked_code"))


@dataclass(frozen=True)
class Seen:
    """One look. `cells`: (partner, record) → what became of its deliveries → how many. `moves` changes with every step
    that anything takes; `pending` says what is still on its way; `did` is what the twins have done, by twin and effect."""

    events: int = 0
    cells: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    moves: tuple[int, ...] = ()
    pending: tuple[str, ...] = ()
    echoes: int = 0
    rejected: int = 0
    reviews: int = 0
    did: Mapping[str, int] = field(default_factory=dict)

    def total(self, what: str) -> dict[str, int]:
        """Partner → how many of its deliveries are in state `what`."""
        found: dict[str, int] = {}
        for (partner, _), cell in sorted(self.cells.items()):
            found[partner] = found.get(partner, 0) + sum(
                n for name, n in cell.items() if name.partition("(")[0] == what
            )
        return found


_DELIVERIES = """
with head as (
    select distinct on (partner, person) id, partner, person, state, reason from delivery
    where state in ('waiting', 'sending', 'human') order by partner, person, no, replay
)
select d.partner, d.record, d.state, count(*) as n,
       case when d.state in ('waiting', 'sending', 'human') and h.id <> d.id then 'behind an older one'
            when d.state in ('waiting', 'human', 'withheld') then d.reason when d.state = 'refused' then d.code end as why,
       h.state as head_state, h.reason as head_reason
from delivery d
left join head h on h.partner = d.partner and h.person = d.person and d.state in ('waiting', 'sending', 'human')
group by 1, 2, 3, 5, 6, 7
"""

_COUNTS = """
select (select count(*) from event) as events,
       (select count(*) from event_way w join event e on e.no = w.no where w.published_at is null and e.body is not null) as unpublished,
       (select count(*) from event_way where routed_at is null) as unrouted,
       (select count(*) from delivery_log) + (select count(*) from delivery where state = 'delivered') as steps,
       (select count(*) from batch) as batches,
       (select count(*) from batch where state = 'open') as reading,
       (select coalesce(sum(known), 0) from batch where kind = 'poll')::int as polled,
       (select coalesce(sum((report -> 'dropped' ->> 'said_by_the_hub')::int), 0) from batch)::int as echoes,
       (select coalesce(sum((counts ->> 'rejected')::int), 0) from batch)::int as rejected,
       (select count(*) from review where decided_at is null) as reviews
"""


@dataclass
class Watch:
    """Looks at one demo. `twins` are the twins' addresses by connector, `folders` those through which files pass."""

    database: AsyncEngine
    twins: Mapping[str, str]
    folders: tuple[Path, ...]

    async def look(self) -> Seen:
        """One look at the hub and its partners."""
        async with transaction(self.database) as connection:
            counted = (await rows(connection, _COUNTS))[0]
            deliveries = await rows(connection, _DELIVERIES)
        cells: dict[tuple[str, str], dict[str, int]] = {}
        late: dict[str, int] = {}
        for row in deliveries:
            name = f"{row.state}({row.why})" if row.why else row.state
            cell = cells.setdefault((row.partner, row.record), {})
            cell[name] = cell.get(name, 0) + row.n
            if row.head_state and (row.head_state, row.head_reason) not in PREPARED:
                late[row.partner] = late.get(row.partner, 0) + row.n
        did, pending = await self._partners(counted.polled)
        pending += [f"{n} deliveries to {partner}" for partner, n in sorted(late.items())]
        for what, n in (("published", counted.unpublished), ("routed", counted.unrouted)):
            pending += [f"{n} events to be {what}"] if n else []
        if counted.reading:
            pending.append("a file that is being read")
        return Seen(
            events=counted.events,
            cells=cells,
            moves=(counted.events, counted.steps, counted.batches, counted.polled, *did.values()),
            pending=tuple(pending),
            echoes=counted.echoes,
            rejected=counted.rejected,
            reviews=counted.reviews,
            did=did,
        )

    async def _partners(self, polled: int) -> tuple[Counter[str], list[str]]:
        """What the twins have done, and what lies between them and the hub."""
        pending = [
            f"{folder.parent.name}: {path.name}"
            for folder in self.folders
            for path in sorted(folder.glob("[!.]*.*"))
            if path.is_file() and path.name != "referentiel.xml"
        ]
        did: Counter[str] = Counter()
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            for name, url in self.twins.items():
                log = (await client.get(f"{url}/_twin/effects")).json()
                did.update(f"{name} {_effect(entry)}" for entry in log)
                if name == "structure":
                    pending += _unanswered(log, polled)
        return did, pending


def _effect(entry: Mapping[str, Any]) -> str:
    """An effect by its name; an answer with what it says."""
    said = entry["answer"]["statut"] if entry["effect"] == "answered" else None
    return f"{entry['effect']} {said}" if said else entry["effect"]


def _unanswered(log: list[dict[str, Any]], polled: int) -> list[str]:
    """Requests without a last answer, and answers that the hub has not polled yet."""
    asked = {e["body"]["orientation_id"] for e in log if e["effect"] == "requested"}
    answers = [e["answer"] for e in log if e["effect"] == "answered"]
    final = {a["orientation_id"] for a in answers if a["statut"] != "EN_ATTENTE"}
    open_ = [f"{len(asked - final)} requests to be answered"] if asked - final else []
    return open_ + ([f"{len(answers) - polled} answers to be polled"] if len(answers) > polled else [])
