"""The world of the fault tests: a keyed partner, one with look-up, a structure's twin, a file partner; each outside the
hub's process, so that a kill of the hub leaves them as they are."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import asyncpg

from hub.app import ROOT, App
from hub.ledger.reconcile import Reconciliation, reconcile
from hub.log import topics
from hub.log.scan import scan
from hub.rights.agreement import defaults
from hub.rights.configuration import Partners
from hub.rights.store import apply_configuration
from hub.sdk.inbound import Draft
from hub.sdk.manifest import Connector, discover
from hub.settings import Settings
from tests.hubs import decided, entrant, moved, recorder_connector, request
from tests.rights import world as rights

#: partner → (kind, connector)
PARTNERS = {
    "caf": ("caf", "poster"),
    "cd": ("departement", "poster"),
    "ft": ("france_travail", "looking_poster"),
    "ml": ("mission_locale", "mission_locale"),
    "s1": ("structure", "structure"),
}


def connectors() -> dict[str, Connector]:
    """The shipped ones, and the poster with a key and with a look-up."""
    folder = Path(__file__).parents[1] / "poster"
    made = {}
    for name, mode in (("poster", "key"), ("looking_poster", "look_up")):
        manifest = recorder_connector(name, unknown_outcome=mode, concurrency=20).manifest
        made[name] = Connector(manifest, folder, "tests.poster")
    return discover(ROOT / "connectors") | made


def facts(ids: dict[str, str], people: int) -> list[tuple[str, list[Draft]]]:
    """What happens to each person: entrant, decided (for a mission locale), a measure asked, three moves."""

    class Named:
        def __init__(self) -> None:
            self.ids = ids

    world = Named()
    return [
        ("caf", [entrant(n) for n in range(people)]),
        ("cd", [decided(n, world, organism="ML", structure=ids["ml"]) for n in range(people)]),
        ("cd", [request(n, "s1", world) for n in range(people)]),
        ("caf", [moved(n, step) for step in (1, 2, 3) for n in range(people)]),
    ]


@dataclass
class FaultWorld:
    """What the driver needs, and where the partners write down what happened to them."""

    app: App
    ids: dict[str, str]
    people: int
    keyed: Path
    folder: Path
    structure: Path

    def environment(self, seam: str | None = None) -> dict[str, str]:
        settings = self.app.settings
        return os.environ | {
            "HUB_HOME": str(settings.home),
            "HUB_DATABASE_URL": settings.database_url,
            "HUB_KAFKA": settings.kafka,
            "HUB_TOPIC_PREFIX": settings.topic_prefix,
            "HUB_INBOUND_EVERY": "3600",
            "FAULT_WORLD": json.dumps(self.ids),
            "FAULT_PEOPLE": str(self.people),
            "FAULT_SEAM": seam or "",
            "FAULT_KEY": "key",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, seam: str | None = None, role: str = "") -> subprocess.Popen[bytes]:
        """One hub process."""
        environment = self.environment(seam) | {"FAULT_ROLE": role}
        return subprocess.Popen([sys.executable, "-m", "tests.faults.driver"], env=environment, cwd=ROOT)

    # ------------------------------------------------------------------ what must hold afterwards
    async def holds(self) -> Reconciliation:
        """Every effect exactly once, order kept per person and partner, all closed, nothing unaccounted."""
        rows = await self._rows()
        assert {r["state"] for r in rows} <= {"delivered", "withheld"}, self._by_state(rows)
        await self._effects(rows)
        result = await reconcile(
            self.app.database, scan(self.app.settings.kafka, sorted(self.app.topics)), republish=False
        )
        assert result.unaccounted == 0, result.findings
        assert result.events >= 6 * self.people  # and the structure's answers
        return result

    async def _effects(self, rows: Sequence[asyncpg.Record]) -> None:
        wanted: dict[str, list[tuple[str, int]]] = {}
        for row in rows:
            if row["state"] == "delivered":
                wanted.setdefault(row["partner"], []).append((str(row["event"]), row["no"]))
        effects = self._keyed_effects() | {self.ids["s1"]: self._structure_effects()}
        for name in ("cd", "ft", "s1"):
            partner = self.ids[name]
            keys = [key for key, _ in effects.get(partner, [])]
            assert sorted(keys) == sorted(key for key, _ in wanted.get(partner, [])), name
            assert len(set(keys)) == len(keys), f"{name}: something took effect twice"
            order = dict(wanted.get(partner, []))
            last: dict[str, int] = {}
            for key, who in effects.get(partner, []):
                assert order[key] > last.get(who, 0), f"{name}: an older event came after a newer one"
                last[who] = order[key]
        assert self._file_rows() == len(wanted.get(self.ids["ml"], []))

    def _keyed_effects(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for line in self.keyed.read_text(encoding="utf-8").splitlines():
            effect = json.loads(line)
            found.setdefault(effect["partner"], []).append((effect["key"], effect["who"]))
        return found

    def _structure_effects(self) -> list[tuple[str, str]]:
        """(idempotency key, who) of the structure twin's log."""
        found = []
        for path in sorted(self.structure.rglob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                effect = json.loads(line)
                if effect["effect"] in ("requested", "noticed"):
                    found.append((effect["key"], effect["body"]["beneficiaire"]["reference"]))
        return found

    def _file_rows(self) -> int:
        """Rows over all files that left; a file appears whole or not at all."""
        lines = [path.read_text(encoding="utf-8-sig").splitlines() for path in self.folder.glob("[!.]*.csv")]
        return sum(len(file) - 1 for file in lines)

    async def _rows(self) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.app.settings.database_url.replace("+asyncpg", ""))
        try:
            return await connection.fetch(
                "select d.*, e.id as event from delivery d join event e on e.no = d.no order by d.no"
            )
        finally:
            await connection.close()

    def _by_state(self, rows: Sequence[asyncpg.Record]) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in rows:
            key = f"{row['partner']} {row['state']} {row['reason']} {row['code']}"
            found[key] = found.get(key, 0) + 1
        return found


@contextmanager
def process(*command: str) -> Iterator[dict[str, str]]:
    """A partner's process; yields the JSON line that it prints when it is ready."""
    running = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield json.loads(running.stdout.readline())
    finally:
        running.kill()
        running.wait()


async def make(
    database: str, kafka: str, people: int, keyed: str, structure: str, places: dict[str, Path]
) -> FaultWorld:
    """Configure the territory with short deadlines: 2 s to send, 1 s to settle."""
    home = places["folder"].parent / "home"
    app = App(Settings(home=home, database_url=database, kafka=kafka, topic_prefix=f"f{uuid4().hex[:8]}."))
    app.__dict__["connectors"] = connectors()
    await app.prepare()
    suffix = uuid4().hex[:6]
    ids = {name: f"{name}-{suffix}" for name in PARTNERS}
    await apply_configuration(app.database, rights.territory(), "test")
    await apply_configuration(app.database, partners(ids, keyed, structure, places["folder"]), "test")
    await app.desk_ready()
    await asyncio.to_thread(topics.ensure, kafka, app.topics)
    return FaultWorld(app, ids, people, places["keyed"], places["folder"], places["structure"])


def partners(ids: dict[str, str], keyed: str, structure: str, folder: Path) -> Partners:
    quick = {"deadline": 2.0, "settles_within": 1.0}
    settings = {
        "caf": {},
        "cd": {"url": f"{keyed}/{ids['cd']}", **quick},
        "ft": {"url": f"{keyed}/{ids['ft']}", **quick},
        "ml": {"folder": str(folder), "window": "1 s", **quick},
        "s1": {"url": f"{structure}/s/{ids['s1']}", **quick},
    }
    return Partners.model_validate(
        {
            "territory": "76",
            "organisations": [
                {"id": f"o-{pid}", "siret": rights.invented_siret(i), "kind": PARTNERS[name][0], "name": name}
                for i, (name, pid) in enumerate(ids.items(), 1)
            ],
            "partners": [
                {
                    "id": pid,
                    "organisation": f"o-{pid}",
                    "connector": PARTNERS[name][1],
                    "settings": settings[name],
                    "secrets": {"api_key": "env:FAULT_KEY"} if name == "s1" else {},
                }
                for name, pid in ids.items()
            ],
            "agreements": [
                {
                    "id": f"a-{pid}",
                    "organisation": f"o-{pid}",
                    "records": list(defaults(PARTNERS[name][0])),
                    "purpose": "Parcours insertion emploi",
                    "legal_basis": "CASF L.263-4-1",
                    "article9": "RGPD 9(2)(g)",
                    "start": date(2025, 1, 1),
                    "end": date(2030, 12, 31),
                    "case_number": "TEST",
                }
                for name, pid in ids.items()
                if defaults(PARTNERS[name][0])
            ],
        }
    )
