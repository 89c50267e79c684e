"""A hub in the test's process: one territory, recorder partners of every kind, real PostgreSQL; Kafka only where a test asks.

`World.pump` routes and delivers until nothing is due; what Kafka would do in between is other tests' matter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from hub.app import App
from hub.delivery.claim import Claimed
from hub.delivery.routing import route_records
from hub.delivery.send import Sender
from hub.intake.results import Accepted, Incoming, Result
from hub.ledger.reconcile import Reconciliation, reconcile
from hub.log.scan import Seen
from hub.rights.agreement import defaults
from hub.rights.configuration import Partners
from hub.rights.store import apply_configuration
from hub.sdk.inbound import Draft, Position, Subject
from hub.sdk.manifest import Connector, Manifest, Outbound, OutboundRecord
from hub.settings import Settings
from hub.store.database import rows, run, transaction
from tests.recorder import outbound as recorder
from tests.rights import world

KINDS = {
    "caf": "caf",
    "cd": "departement",
    "ft": "france_travail",
    "ml": "mission_locale",
    "s1": "structure",
    "s2": "structure",
}


class Clock:
    """A guard that never fires; its clock is the test's."""

    def __init__(self) -> None:
        self.open_count = 0

    def open(self, deadline: float, count: int = 1) -> None:
        self.open_count += count

    def close(self, deadline: float) -> None:
        self.open_count -= 1

    def now(self) -> float:
        import time

        return time.monotonic()


def recorder_connector(name: str = "recorder", **outbound: Any) -> Connector:
    """The recorder with every field of every record, under the manifest values of the test."""
    from hub.log.registry import current

    records = {
        record: OutboundRecord(
            fields=[
                path.name
                for path in current().get(record).fields.values()
                if path.name not in ("person", "sensitive", "source", "corrects")
            ],
            purpose="test",
            legal_basis="test",
        )
        for record in current().records()
    }
    values = {
        "transport": "http",
        "unknown_outcome": "key",
        "deadline": 2.0,
        "settles_within": 1.0,
        "concurrency": 50,
        "records": records,
    } | outbound
    manifest = Manifest(
        name=name, title="Recorder", version=1, contract="available", outbound=Outbound(**values)
    )
    return Connector(manifest, Path(recorder.__file__).parent, "tests.recorder")


@dataclass
class World:
    """A hub and its partners. Partner ids carry a suffix, because the recorder is one per process."""

    app: App
    sender: Sender
    ids: dict[str, str]
    folder: tempfile.TemporaryDirectory[str]
    claimed: list[Claimed] = field(default_factory=list)

    def __post_init__(self) -> None:
        start = self.sender._start

        def remember(items: Sequence[Claimed]) -> None:
            self.claimed.extend(items)
            start(items)

        self.sender._start = remember

    def partner(self, name: str) -> recorder.FakePartner:
        return recorder.PARTNERS[self.ids[name]]

    async def accept(self, sender: str, drafts: Sequence[Draft], **options: Any) -> list[Result]:
        return await self.app.acceptor.accept(
            self.ids[sender], "test", [Incoming(draft) for draft in drafts], **options
        )

    async def route(self) -> None:
        """What dispatch would do, without Kafka in between."""
        async with transaction(self.app.database) as connection:
            waiting = await rows(
                connection,
                "select e.id, e.body_hash from event e join event_way w on w.no = e.no where w.routed_at is null order by e.no",
            )
        await route_records(
            self.app.database, self.app.desk, [Seen("t", 0, 0, r.id, bytes(r.body_hash)) for r in waiting]
        )

    async def pump(self) -> None:
        """Route, then claim, send and settle until nothing is due now."""
        await self.route()
        idle = 0
        while idle < 3:
            idle = 0 if await self.sender.step() else idle + 1
            import asyncio

            await asyncio.sleep(0)

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        async with transaction(self.app.database) as connection:
            return await rows(connection, statement, **values)

    async def states(self, partner: str) -> list[str]:
        """The states of a partner's deliveries in event order."""
        found = await self.sql(
            "select state from delivery where partner = :p order by no, replay", p=self.ids[partner]
        )
        return [r.state for r in found]

    async def skip(self, seconds: float) -> None:
        """Move the virtual clock."""
        from hub.store.database import move_clock

        await move_clock(self.app.database, seconds)

    async def skip_lease(self) -> None:
        """Let the leases of what is being sent end, as if the process had died: the clock stands while sending."""
        async with transaction(self.app.database) as connection:
            await run(connection, "set local session_replication_role = replica")
            await rows(
                connection,
                "with d as (update delivery set lease_until = clock_timestamp() - interval '1 s' where marked_by is not null returning 1) "
                "update file set lease_until = clock_timestamp() - interval '1 s' where state <> 'settled' returning 1",
            )

    def last_claimed(self, delivery: int, attempt: int) -> Claimed:
        """What this sender claimed, whether it still has it or not."""
        return next(c for c in self.claimed if (c.delivery, c.attempt) == (delivery, attempt))

    async def reconcile(self) -> Reconciliation:
        return await reconcile(self.app.database)


async def make_world(url: str, kafka: str = "", **connectors: Connector) -> World:
    """Configure a territory on a migrated database. `connectors`: partner name → its own connector."""
    folder = tempfile.TemporaryDirectory(prefix="hub-world-", ignore_cleanup_errors=True)
    home = Path(folder.name)
    app = App(Settings(home=home, database_url=url, kafka=kafka or None, topic_prefix=f"t{uuid4().hex[:8]}."))
    plain = recorder_connector()
    app.__dict__["connectors"] = {plain.name: plain} | {c.name: c for c in connectors.values()}
    await app.prepare()
    async with transaction(app.database) as connection:
        await rows(connection, "update clock set virtual = true returning one")
    suffix = uuid4().hex[:6]
    ids = {name: f"{name}-{suffix}" for name in KINDS}
    await apply_configuration(app.database, world.territory(), "test")
    await apply_configuration(app.database, partners(ids, connectors), "test")
    await app.desk_ready()
    return World(app, app.sender(Clock()), ids, folder)


def partners(ids: dict[str, str], connectors: dict[str, Connector]) -> Partners:
    return Partners.model_validate(
        {
            "territory": "76",
            "organisations": [
                {"id": f"o-{pid}", "siret": world.invented_siret(i), "kind": KINDS[name], "name": name}
                for i, (name, pid) in enumerate(ids.items(), 1)
            ],
            "partners": [
                {
                    "id": pid,
                    "organisation": f"o-{pid}",
                    "connector": connectors[name].name if name in connectors else "recorder",
                }
                for name, pid in ids.items()
            ],
            "agreements": [
                {
                    "id": f"a-{pid}",
                    "organisation": f"o-{pid}",
                    "records": list(defaults(KINDS[name])),
                    "purpose": "Parcours insertion emploi",
                    "legal_basis": "CASF L.263-4-1",
                    "article9": "RGPD 9(2)(g)",
                    "start": date(2025, 1, 1),
                    "end": date(2030, 12, 31),
                    "case_number": "TEST",
                }
                for name, pid in ids.items()
                if defaults(KINDS[name])
            ],
        }
    )


# ------------------------------------------------------------------ invented people and facts
def nir(number: int) -> str:
    """An invented NIR (13 digits, birthplace 99 999)."""
    return (
        f"28504999990{number % 100:02d}"
        if number < 100
        else f"1{number // 1000 % 100:02d}0499999{number % 1000:03d}"
    )


def subject(number: int, **changed: Any) -> Subject:
    values: dict[str, Any] = {
        "birth_name": f"INVENTE{number}",
        "first_names": (f"Personne{number}",),
        "birth_date": date(1980 + number % 30, 1 + number % 12, 1 + number % 28).isoformat(),
        "sex": "F",
        "own_key": ("CAF", "761", f"{number:07d}", "DEM"),
        "matricule": ("CAF", "761", f"{number:07d}"),
    }
    return Subject(**(values | changed))


def entrant(number: int, **changed: Any) -> Draft:
    """A new entrant of person `number`."""
    return Draft(
        record="NewRsaEntrant",
        key=("NewRsaEntrant", str(number)),
        subject=changed.pop("subject", subject(number)),
        fields={
            "information_received_on": date(2026, 4, 1),
            "right_opened_on": date(2026, 3, 1),
            "duties_since": None,
            "claim_on": date(2026, 2, 10),
            "payer": {"fonorg": "CAF", "numorg": "761"},
            "role": "DEM",
            "rules": ["TOP"],
            "first_time": None,
            "groups": [],
        },
        observed_at=datetime(2026, 4, 1, tzinfo=UTC),
        position=Position(number),
        journey="open",
        **changed,
    )


def moved(number: int, step: int) -> Draft:
    """A change of address of person `number`; each `step` is another fact."""
    return Draft(
        record="ContactChanged",
        key=("ContactChanged", str(number), str(step)),
        subject=subject(number),
        fields={"channel": "ADDRESS", "modified_at": None, "consent": {"phone": None, "email": None}},
        observed_at=datetime(2026, 4, 2, tzinfo=UTC),
        position=Position(number),
    )


def numbers(results: Sequence[Result]) -> list[int]:
    """The event numbers of what was accepted."""
    assert all(isinstance(r, Accepted) for r in results), results
    return [r.no for r in results]


def measure_id(number: int) -> UUID:
    return UUID(int=number + (4 << 76) + (2 << 62))


def request(number: int, structure: str, world: World, **changed: Any) -> Draft:
    """A measure requested for person `number` at a structure of the world."""
    fields = {
        "measure_id": measure_id(changed.pop("measure", number)),
        "type": "mobilite",
        "addressee": world.ids[structure],
        "prescriber": None,
        "reason_code": None,
        "expires_on": date(2027, 12, 31),
        "person_informed_on": None,
        "period": None,
        "funding_line": None,
    } | changed
    sensitive = fields.pop("sensitive", None)
    return Draft(
        record="MeasureRequested",
        key=("MeasureRequested", str(fields["measure_id"])),
        subject=subject(number),
        fields=fields,
        observed_at=datetime(2026, 4, 3, tzinfo=UTC),
        position=Position(number),
        sensitive=sensitive,
    )


def decided(number: int, world: World, step: int = 1, **changed: Any) -> Draft:
    """An orientation decided for person `number`."""
    fields = {
        "decision_id": UUID(int=number * 1000 + step + (4 << 76) + (2 << 62)),
        "parcours": "SOCIO_PRO",
        "organism": "CD",
        "structure": None,
        "decided_on": date(2026, 4, 10),
        "decider": "PCD",
        "proposal_outcome": "NONE",
        "proposal_refused_reason": None,
        "rank": step,
        "default_reason": None,
    } | changed
    return Draft(
        record="OrientationDecided",
        key=("OrientationDecided", str(fields["decision_id"])),
        subject=subject(number),
        fields=fields,
        observed_at=datetime(2026, 4, 10, tzinfo=UTC),
        position=Position(number),
    )


def answered(number: int, answer: str = "ACCEPTED", **changed: Any) -> Draft:
    """A structure's answer to the request of person `number`."""
    fields = {
        "measure_id": measure_id(number),
        "answer": answer,
        "answered_on": date(2026, 4, 20),
        "reason_code": None,
        "appointment": None,
        "places_left": None,
        "amount_cents": None,
    } | changed
    return Draft(
        record="MeasureAnswered",
        key=("MeasureAnswered", str(fields["measure_id"]), answer, str(fields["answered_on"])),
        subject=Subject(reference=str(fields["measure_id"])),
        fields=fields,
        observed_at=datetime(2026, 4, 20, tzinfo=UTC),
        position=Position(number),
    )
