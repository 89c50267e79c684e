"""The demo itself: a month of a CAF, decisions and measure requests of a Département, answers of structures, another month."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from hub.app import ROOT, App
from hub.dev.demo import partners
from hub.dev.demo.people import Months
from hub.dev.demo.place import DemoFailed, Place, near
from hub.dev.demo.screen import Screen
from hub.dev.demo.watch import Watch
from hub.dev.embedded import processes
from hub.rights.configuration import ConfigurationError, Partners
from hub.rights.files import load_partners, load_territory
from hub.rights.settings import settings_problems
from hub.rights.store import apply_configuration
from hub.store.database import move_clock, run, transaction

TERRITORY = ROOT / "territories" / "76"
SEED = 76
TWINS = ("departement", "mission_locale", "france_travail", "structure", "caf")
#: What the Département may ask for; the sensitive measure is asked for by hand.
CONVENTIONS = ("CONV-2026-002", "CONV-2026-014", "CONV-2026-021", "CONV-2026-040", "CONV-2026-051")
SENSITIVE = "CONV-2026-033"
#: The structures (WebRSA's ids) that it orients to: France Travail, its own unit, the mission locale, two providers.
STRUCTURES = ("2", "3", "5", "12", "15")
MISSION_LOCALE = "5"
#: France Travail knows so many people at the first search, the others at the second.
KNOWN_AT_ONCE = "0.85"

LOOK_EVERY = 0.5
DAY_EVERY = 15.0
NEXT_DAY = 30 * 3600
#: Seconds in which nothing moves although something is pending, after which the demo gives up.
STUCK_AFTER = 180.0


class Story:
    """One run, in `place`, with about `people` adults in the first file."""

    def __init__(self, place: Place, people: int, console: Console) -> None:
        self.place, self.app = place, App(place.settings)
        self.today = datetime.now(ZoneInfo("Europe/Paris")).date()
        self.months = Months(place.home / "files", people, SEED, self.today)
        self.screen = Screen(console, {})
        self.stuck: tuple[str, ...] = ()

    # ------------------------------------------------------------------ setting up
    async def set_up(self) -> None:
        """Twins, parts, a database on a virtual clock, configuration, and the hub itself."""
        await asyncio.to_thread(self._start_twins)
        await asyncio.to_thread(self.place.start_parts)
        self.app = App(self.place.settings)
        await self.app.prepare()
        async with transaction(self.app.database) as connection:
            await run(connection, "update clock set virtual = true")
        self.twins = {name: await asyncio.to_thread(self.place.twin, name) for name in TWINS}
        self.screen.say(f"partners: {', '.join(sorted(self.twins))}, each a twin in a process of its own")
        await self._configure()
        log = await asyncio.to_thread(
            self.place.start,
            "hub",
            ["hub", "run"],
            {"HUB_HOME": str(self.place.home), "HUB_INBOUND_EVERY": "1"},
        )
        self.url = await asyncio.to_thread(self.place.answer, "hub", self.place.home / "gateway.url")
        self.screen.say(f"hub: running ({near(log)}); page: {self.url}/")
        base = self.place.home / "twins"
        folders = (
            base / "departement" / "depot", base / "departement" / "exports", base / "mission_locale" / "depot", base / "caf" / "drop",
        )  # fmt: skip
        self.watch = Watch(self.app.database, self.twins, folders)

    def _start_twins(self) -> None:
        self._trouble()
        drop, start = str(self.place.home / "twins" / "caf" / "drop"), f"--start={self.months.first}"
        arguments = {
            "departement": ["--share=0.6", *self._tables()],
            "france_travail": [f"--auto={KNOWN_AT_ONCE}"],
            "structure": [f"--places={self.months.people // 12}"],
            "caf": ["--drop", drop, "--population=8", "--numorg=762", start],
        }
        for name in TWINS:
            self.place.start_twin(name, f"--seed={SEED}", *arguments.get(name, []))

    def _trouble(self) -> None:
        """France Travail knows one person twice, and one without an address, since before the demo began."""
        log = self.place.home / "twins" / "france_travail" / "france_travail.jsonl"
        log.parent.mkdir(parents=True)
        known = ((self.months.twice, "twice"), (self.months.without_address, "no_address"))
        lines = [
            {
                "n": number,
                "effect": "registered",
                "at": datetime.now(UTC).isoformat(),
                "usager": {
                    "number": f"{9_900_000_000 + number:011d}",
                    "nir": person.nir,
                    "born": person.born.isoformat(),
                    trouble: True,
                },
            }
            for number, (person, trouble) in enumerate(known, 1)
        ]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def _tables(self) -> list[str]:
        """The territory's tables, cut down to whom this Département works with."""
        folder = self.place.home / "twins" / "departement"
        folder.mkdir(parents=True)
        wanted = {"structures": STRUCTURES, "actions": (*CONVENTIONS, SENSITIVE)}
        arguments = []
        for name, keys in wanted.items():
            lines = (TERRITORY / f"{name}.csv").read_text(encoding="utf-8").splitlines()
            header = next(line for line in lines if not line.startswith("#"))
            kept = [line for line in lines if line.split(",")[0] in keys]
            (folder / f"{name}.csv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
            arguments += [f"--{name}", str(folder / f"{name}.csv")]
        return arguments

    async def _configure(self) -> None:
        file = partners.write(TERRITORY / "partners.example.toml", self.place.home, self.twins, self.today)
        document: Partners = load_partners(file)
        manifests = {name: found.manifest for name, found in self.app.connectors.items()}
        if problems := settings_problems(document.partners, manifests):
            raise ConfigurationError(problems)
        await apply_configuration(self.app.database, load_territory(TERRITORY), "demo")
        applied = await apply_configuration(self.app.database, document, "demo")
        organisations = {o.id: o.name.removesuffix(" (exemple)") for o in document.organisations}
        self.screen.names = {p.id: organisations[p.organisation] for p in document.partners}
        self.screen.say(f"territory 76 and {file.name} applied: version {applied.version}")

    # ------------------------------------------------------------------ what happens
    async def play(self) -> None:
        """Both months, and what the partners do meanwhile."""
        self.screen.say("\n1. The CAF's first month arrives; a second CAF drops its first file into a folder")
        await self.tick("caf")
        await self.import_("caf", self.months.write_first())
        await self.rest()
        self.screen.say(
            "\n2. The Département sends a young person to the mission locale and asks for a sensitive measure"
        )
        await self.by_hand()
        await self.tick("caf")
        await self.rest()
        self.screen.say(
            "\n3. The next month: some enter, some move, leave or are suspended; the other CAF sends a day"
        )
        await self.import_("caf", self.months.write_second())
        await self.tick("caf")
        await self.rest()
        self.screen.say(
            "\n4. The next day (the database's clock is virtual): France Travail is asked again for whom it did not know"
        )
        await self.next_day()
        await self.rest()

    async def import_(self, connector: str, file: Path) -> None:
        """`hub import` as a person would run it."""
        command = [
            sys.executable,
            "-m",
            "hub",
            "import",
            connector,
            str(file),
            "--partner",
            "p7604",
            "--json",
        ]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, env=self._environment(), cwd=ROOT
        )
        if done.returncode:
            raise DemoFailed(f"hub import {connector} {file.name}: {done.stderr.strip()}")
        report = json.loads(done.stdout)
        events = ", ".join(f"{n} {record}" for record, n in sorted(report["events"].items()))
        self.screen.say(
            f"  hub import {connector} {file.name}: {report['households']} households, {report['adults']} adults, "
            f"{len(report['rejects'])} rejected; {events}"
        )
        for warning in report["warnings"]:
            self.screen.say(f"  note: {warning['code']}: {warning['detail']}")

    async def tick(self, twin: str) -> None:
        """Let a twin do what it does in a day."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            (await client.post(f"{self.twins[twin]}/_twin/tick")).raise_for_status()

    async def by_hand(self) -> None:
        """Somebody at the Département's keyboard: a reorientation to the mission locale, then a sensitive measure."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            url = self.twins["departement"]
            people = (await client.get(f"{url}/personnes")).json()
            youngest = max(people, key=lambda p: (p["born"], p["person"]))
            if youngest["structures"][-1] != MISSION_LOCALE:
                typed = {"person": youngest["person"], "structure": MISSION_LOCALE}
                (await client.post(f"{url}/orientations", json=typed)).raise_for_status()
            typed = {"person": youngest["person"], "convention": SENSITIVE}
            (await client.post(f"{url}/fiches", json=typed)).raise_for_status()

    async def next_day(self) -> None:
        """Move the clock, as soon as nothing is being sent."""
        while True:
            try:
                await move_clock(self.app.database, NEXT_DAY)
                return
            except DBAPIError:
                await asyncio.sleep(0.1)

    async def rest(self) -> None:
        """Watch until everything has come to rest (or nothing moves any more)."""
        clock = asyncio.get_running_loop().time
        last, moved = None, clock()
        while True:
            seen = await self.watch.look()
            self.screen.show(seen)
            await asyncio.to_thread(self.place.check)
            if last is not None and seen.moves == last.moves:
                if not seen.pending and not last.pending:
                    self.stuck = ()
                    return
                if clock() - moved > STUCK_AFTER:
                    self.stuck = seen.pending
                    return
            else:
                moved = clock()
            last = seen
            await asyncio.sleep(LOOK_EVERY)

    async def go_on(self) -> None:
        """Until somebody ends it: the second CAF sends a day's file now and then."""
        while True:
            await self.tick("caf")
            until = asyncio.get_running_loop().time() + DAY_EVERY
            while asyncio.get_running_loop().time() < until:
                self.screen.show(await self.watch.look())
                await asyncio.to_thread(self.place.check)
                await asyncio.sleep(LOOK_EVERY)

    async def close(self) -> None:
        """Give the demo's own connections back."""
        await self.app.close()

    def _environment(self) -> dict[str, str]:
        return processes.environment() | {"HUB_HOME": str(self.place.home)}
