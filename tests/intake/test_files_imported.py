"""CAF files through the writing half: the same decisions as in the dry run, kept in PostgreSQL from file to file."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from connectors.caf import inbound
from hub.dev.generate.cnaf import Oracle, Population
from hub.dev.generate.cnaf_months import Town
from hub.dev.generate.cnaf_shapes import all_shapes
from hub.intake.files import dry_run
from hub.intake.imports import Importer, Source
from hub.intake.report import ImportReport
from hub.intake.stored import StoredMemory
from hub.sdk.inbound import Context
from hub.sdk.manifest import load
from tests.connectors.caf.running import READER, assert_agrees, told, written
from tests.hubs import World, make_world

FOLDER = Path(inbound.__file__).parent
FILES = (("M", date(2026, 2, 28)), ("I", date(2026, 3, 4)), ("M", date(2026, 3, 31)), ("I", date(2026, 4, 2)))


async def previewed(world: World, path: Path) -> ImportReport:
    app, partner = world.app, world.ids["caf"]
    memory = StoredMemory.of(app.database, app.master, "76", partner, "beneficiaires")
    with path.open("rb") as source:
        examined = READER.examine(source, {})
        context = Context(
            territory="76",
            received_on=date(2026, 4, 3),
            now=datetime(2026, 4, 3, tzinfo=UTC),
            digest=partial(app.master.digest, "76"),
            header=examined.header,
            sender_memory=await memory.get(examined.memory_keys),
            file_name=path.name,
        )
        return await dry_run(READER, source, examined, context, memory)


async def test_months_of_files_are_imported_as_they_were_meant_and_as_the_dry_run_said(
    database: str, tmp_path: Path
) -> None:
    world = await make_world(database, caf=load(FOLDER, "connectors.caf"))
    importer = Importer(world.app.database, world.app.acceptor)
    population = Population(21)
    town, oracle = Town(population, all_shapes(population, FILES[0][1])), Oracle()
    events: Counter[str] = Counter()
    for flux, dtref in FILES:
        touched = town.happen(dtref, 0.5) if dtref != FILES[0][1] else []
        data, lines = written(town.families if flux == "M" else touched, flux, dtref)
        path = tmp_path / f"CG076.RSABE{flux}.{dtref:%Y%m%d}.xml"
        path.write_bytes(data)
        preview = await previewed(world, path)
        report = await importer.import_file(
            Source(world.ids["caf"], "beneficiaires", READER, {}, date(2026, 4, 3)), path, size=10
        )
        assert_agrees(report, oracle.read(flux, dtref, lines))
        assert told(preview) == told(report)
        assert preview.dropped == report.dropped
        events.update(report.events)
    found = await world.sql(
        "select record, count(*) as n from event where record <> 'IdentityLinked' group by record"
    )
    assert {row.record: row.n for row in found} == dict(events)


async def test_the_memory_of_a_household_holds_no_identity(database: str, tmp_path: Path) -> None:
    world = await make_world(database, caf=load(FOLDER, "connectors.caf"))
    population = Population(22)
    family = population.family("", population.person(entered="1"))
    path = tmp_path / "CG076.RSABEM.xml"
    path.write_bytes(written([family])[0])
    await Importer(world.app.database, world.app.acceptor).import_file(
        Source(world.ids["caf"], "beneficiaires", READER, {}, date(2026, 3, 3)), path
    )
    text = str(await world.sql("select encode(key, 'hex'), encode(scope, 'hex'), state from memory"))
    for value in (family.people[0].nir, family.people[0].birth_name, family.claim, family.matricule):
        assert value not in text
