"""How a run of the demo ended: the proof, the table partner × event type, and commands with ids of this run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from hub.dev.demo.place import near
from hub.dev.demo.screen import Screen
from hub.dev.demo.story import Story
from hub.dev.demo.watch import Seen
from hub.ledger.reconcile import Reconciliation, reconcile
from hub.log.scan import scan
from hub.store.database import rows, transaction


@dataclass(frozen=True)
class Result:
    """`late` is what should have arrived and has not; empty when all came to rest."""

    seen: Seen
    proof: Reconciliation
    late: tuple[str, ...]
    tries: list[str]

    @property
    def good(self) -> bool:
        """All is accounted for, and everything that should be delivered is."""
        return not self.late and self.proof.unaccounted == 0


async def result(story: Story) -> Result:
    """Reconcile, with the topics read."""
    app = story.app
    proof = await reconcile(app.database, scan(app.settings.kafka, sorted(app.topics)))
    seen = await story.watch.look()
    refused = [f"{n} deliveries refused by {partner}" for partner, n in seen.total("refused").items() if n]
    refused += [f"{n} files: {what}" for what, n in seen.did.items() if what.endswith(" refused")]
    return Result(seen, proof, (*story.stuck, *refused), await _tries(app.database, story.place.home))


async def _tries(database: AsyncEngine, home: Path) -> list[str]:
    """Three commands about what happened in this run."""
    async with transaction(database) as connection:
        found = await rows(
            connection,
            "select d.no, e.id, d.partner, d.state from delivery d join event e on e.no = d.no "
            "where d.state = 'human' or (d.state = 'withheld' and d.reason = 'sensitive_measure') order by d.no",
        )
    commands = []
    if withheld := next((row for row in found if row.state == "withheld"), None):
        commands += [f"why {withheld.no} {withheld.partner}", f"event show {withheld.id}"]
    if any(row.state == "human" for row in found):
        commands.append("delivery list --state human")
    script = Path(sys.executable).with_name("hub")
    hub = near(script) if script.exists() else "hub"
    return [f"HUB_HOME={near(home)} {hub} {command}" for command in commands]


def tell(screen: Screen, result: Result) -> None:
    """Table, reasons, what came in, and the line that proves it."""
    seen, proof = result.seen, result.proof
    screen.say("")
    screen.console.print(screen.table(seen))
    screen.say("")
    screen.reasons(seen)
    screen.say(
        f"  echoes recognised: {seen.echoes} · records rejected: {seen.rejected} · identities to be reviewed: {seen.reviews}"
    )
    answers = {
        what.rpartition(" ")[2]: n for what, n in seen.did.items() if what.startswith("structure answered")
    }
    screen.say(f"  answers of structures: {', '.join(f'{n} {said}' for said, n in sorted(answers.items()))}")
    for late in result.late:
        screen.say(f"  NOT AT REST: {late}")
    for finding in proof.findings:
        screen.say(f"  NOT ACCOUNTED FOR ({finding.check}): {finding.what}")
    screen.say("\nTry:")
    for command in result.tries:
        screen.say(f"  {command}")
    delivered = " · ".join(f"{screen.names[p]} {n}" for p, n in seen.total("delivered").items() if n)
    waiting = sum(line.count for line in proof.waiting)
    screen.say(
        f"\nevents accepted: {proof.events}, all about invented people; {proof.scanned} records read back from Kafka"
    )
    screen.say(f"delivered: {delivered}")
    screen.say(f"open, with their reason: {waiting}")
    screen.say(f"unaccounted: {proof.unaccounted}")


def as_json(result: Result, home: Path) -> dict[str, Any]:
    """The same as one object."""
    table: dict[str, dict[str, Mapping[str, int]]] = {}
    for (partner, record), cell in sorted(result.seen.cells.items()):
        table.setdefault(partner, {})[record] = cell
    return {
        "home": str(home),
        "events": result.proof.events,
        "delivered": result.seen.total("delivered"),
        "partners": table,
        "echoes": result.seen.echoes,
        "rejected": result.seen.rejected,
        "reviews": result.seen.reviews,
        "did": result.seen.did,
        "late": result.late,
        "unaccounted": result.proof.unaccounted,
        "reconciliation": result.proof.model_dump(mode="json"),
        "try": result.tries,
    }
