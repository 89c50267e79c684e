"""`hub bench file`: a whole département's monthly CNAF file imported, then a month with changes, then the same file again.

Each import is the real command in a process of its own, so that its time and its peak of memory are what a user has.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hub.app import App
from hub.dev.bench.place import Place
from hub.dev.generate.cnaf import Population, write_file
from hub.dev.generate.cnaf_months import Town
from hub.dev.generate.cnaf_shapes import mixed
from hub.ledger.reconcile import reconcile
from hub.rights.configuration import Organisation, Partner, Partners
from hub.rights.store import apply_configuration
from hub.rights.territory import Payer, Territory

Say = Callable[[str], None]
PARTNER = "caf-bench"
MONTHS = (date(2026, 2, 28), date(2026, 3, 31))


class ImportFailed(Exception):
    """An import of the bench did not end well; the text is its last words."""


@dataclass(frozen=True)
class Import:
    """One import: wall-clock seconds, peak resident memory in MiB, what came of it."""

    name: str
    seconds: float
    peak_rss_mib: float
    households: int
    events: int
    rejects: int


@dataclass(frozen=True)
class FileReport:
    """The three imports, and what `reconcile` says afterwards."""

    households: int
    file_mib: float
    imports: list[Import]
    unaccounted: int


async def measure(place: Place, households: int, changed: float, say: Say) -> FileReport:
    """Generate two months of `households` (a share `changed` of them changes), import them and the second one again."""
    app = App(place.settings)
    await _configure(app)
    files = await asyncio.to_thread(_months, place.settings.home, households, changed, say)
    imports = [
        await asyncio.to_thread(_import, place, name, path, say)
        for name, path in (("baseline", files[0]), ("changes", files[1]), ("again", files[1]))
    ]
    unaccounted = (await reconcile(app.database)).unaccounted
    await app.close()
    return FileReport(households, round(files[0].stat().st_size / 2**20, 1), imports, unaccounted)


async def _configure(app: App) -> None:
    await app.prepare()
    payer = Payer(fonorg="CAF", numorg="761")
    others = tuple(Payer(fonorg=f, numorg=n) for f, n in (("MSA", "760"), ("OPF", "076")))
    territory = Territory(
        id="76", name="Banc d'essai", main_payer=payer, payers=(payer, *others), organisms=()
    )
    await apply_configuration(app.database, territory, "bench")
    organisation = Organisation(id="o-caf", siret="99999900600003", kind="caf", name="CAF du banc d'essai")
    partner = Partner(id=PARTNER, organisation="o-caf", connector="caf")
    partners = Partners(territory="76", organisations=(organisation,), partners=(partner,))
    await apply_configuration(app.database, partners, "bench")


def _months(home: Path, households: int, changed: float, say: Say) -> tuple[Path, Path]:
    say(f"writing two months of {households} invented households")
    town = Town(Population(76), list(mixed(Population(76), MONTHS[0], households, 0.99)))
    paths = tuple(home / f"CG076.RSABEM.{month:%Y%m}.xml" for month in MONTHS)
    for path, month in zip(paths, MONTHS, strict=True):
        if month is not MONTHS[0]:
            town.happen(month.replace(day=15), changed)
        with path.open("wb") as out:
            write_file(out, town.families, "M", month)
    return paths


def _import(place: Place, name: str, path: Path, say: Say) -> Import:
    """Run the command and read its peak from the operating system's own account of it."""
    command = [sys.executable, "-m", "hub", "import", "caf", str(path), "--territory", "76", "--json"]
    environment = os.environ | {
        "HUB_HOME": str(place.settings.home),
        "HUB_DATABASE_URL": place.settings.database_url or "",
    }
    output = path.with_suffix(f".{name}.json")
    started = time.monotonic()
    with output.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=environment)
        words = running.stderr.read().decode(errors="replace") if running.stderr else ""
        _, status, usage = os.wait4(running.pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise ImportFailed(f"hub import ended with {os.waitstatus_to_exitcode(status)}: {words[-500:]}")
    report = json.loads(output.read_text(encoding="utf-8"))
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    say(f"{name}: {seconds:.1f} s, {peak:.0f} MiB")
    return Import(
        name,
        round(seconds, 1),
        round(peak, 1),
        report["households"],
        sum(report["events"].values()),
        len(report["rejects"]),
    )
