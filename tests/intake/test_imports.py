"""A file import in the database: resumable at every point, memory and events always agree (invariant 16)."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from connectors.caf import inbound
from hub.dev.generate.cnaf import Population, write_file
from hub.dev.generate.cnaf_months import Town
from hub.dev.generate.cnaf_shapes import mixed
from hub.intake.archive import Tampered, open_file, seal_file
from hub.intake.imports import Importer, Source
from hub.intake.inbound import Inbox
from hub.ledger.reconcile import reconcile
from hub.sdk.inbound import FileRefused
from tests.hubs import World, make_world

RECEIVED = date(2026, 4, 3)


class Killed(BaseException):
    """Stands for the process's end: whatever was not committed is gone."""


def months(folder: Path, households: int = 40) -> tuple[Path, Path]:
    """A baseline and the month after it, invented."""
    population = Population(7)
    town = Town(population, list(mixed(population, date(2026, 2, 28), households, 0.6)))
    paths = folder / "RSABEM-02.xml", folder / "RSABEM-03.xml"
    with paths[0].open("wb") as out:
        write_file(out, town.families, "M", date(2026, 2, 28))
    town.happen(date(2026, 3, 15), 0.3)
    with paths[1].open("wb") as out:
        write_file(out, town.families, "M", date(2026, 3, 31))
    return paths


def importer(world: World) -> Importer:
    return Importer(world.app.database, world.app.acceptor)


def source(world: World) -> Source:
    settings = {"strict_totals": False, "accept_truncated": False, "stock_imported": False}
    return Source(world.ids["caf"], "beneficiaires", inbound, settings, RECEIVED)


async def contents(world: World) -> tuple[list, list, Counter]:
    """What was accepted and remembered, without ids that differ from database to database."""
    events = await world.sql("select source_event_id, record, facts ->> 'matter' from event order by no")
    memory = await world.sql("select key, state from memory order by key")
    people = await world.sql("select count(*) as n from person")
    return (
        [r.record for r in events],
        [r.state.get("open") for r in memory],
        Counter(r.source_event_id for r in events) | Counter({"people": people[0].n}),
    )


async def test_the_same_file_again_changes_nothing(database, tmp_path):
    world = await make_world(database)
    first, second = months(tmp_path)
    await importer(world).import_file(source(world), first)
    report = await importer(world).import_file(source(world), second)
    before = await contents(world)
    again = await importer(world).import_file(source(world), second)
    assert report.events
    assert again.events == {}
    assert await contents(world) == before
    assert (await reconcile(world.app.database)).unaccounted == 0


@pytest.mark.parametrize("committed", [True, False])
async def test_invariant_16_memory_and_events_agree_at_every_crash_point(database, tmp_path, committed):
    """The process ends at each batch, before or after its commit; started again each time, the end is the same."""
    world = await make_world(database)
    first, second = months(tmp_path)
    whole = Importer(world.app.database, world.app.acceptor)
    accept, passed, crashes = world.app.acceptor.accept, 0, 0

    async def dying(*args, within, **more):
        nonlocal passed
        passed += 1
        # every batch dies once, and gets through when it is tried again
        due = passed % 2 == 1

        async def last(connection, results):
            await within(connection, results)
            if due and not committed:
                raise Killed

        answer = await accept(*args, within=last, **more)
        if due:
            raise Killed
        return answer

    world.app.acceptor.accept = dying
    for path in (first, second):
        while True:
            try:
                await whole.import_file(source(world), path, size=4)
                break
            except Killed:
                crashes += 1
    assert crashes >= 8
    world.app.acceptor.accept = accept
    again = await whole.import_file(source(world), second)
    assert again.events == {}
    counted = (await world.sql("select sum((counts ->> 'events')::int) as n from batch"))[0].n
    assert counted == len(await world.sql("select 1 from event"))
    result = await reconcile(world.app.database)
    assert result.unaccounted == 0, result.findings


async def test_a_second_file_of_a_sender_waits_until_the_interrupted_one_is_complete(database, tmp_path):
    world = await make_world(database)
    first, second = months(tmp_path)
    accept = world.app.acceptor.accept

    async def dying(*args, **more):
        await accept(*args, **more)
        raise Killed

    world.app.acceptor.accept = dying
    with pytest.raises(Killed):
        await importer(world).import_file(source(world), first, size=9)
    world.app.acceptor.accept = accept
    with pytest.raises(FileRefused, match="was interrupted"):
        await importer(world).import_file(source(world), second)
    await importer(world).import_file(source(world), first)
    await importer(world).import_file(source(world), second)


async def test_households_left_out_of_a_monthly_file_are_counted_and_nothing_is_sent(database, tmp_path):
    world = await make_world(database)
    population = Population(3)
    families = list(mixed(population, date(2026, 2, 28), 12, 1.0))
    paths = tmp_path / "RSABEM-a.xml", tmp_path / "RSABEM-b.xml"
    for path, kept, day in (
        (paths[0], families, date(2026, 2, 28)),
        (paths[1], families[3:], date(2026, 3, 31)),
    ):
        with path.open("wb") as out:
            write_file(out, kept, "M", day)
    await importer(world).import_file(source(world), paths[0])
    events = len(await world.sql("select 1 from event"))
    report = await importer(world).import_file(source(world), paths[1])
    assert [w.code for w in report.warnings] == ["absent"]
    assert "3 households" in report.warnings[0].detail
    assert len(await world.sql("select 1 from event")) == events


async def test_a_drop_folder_is_read_put_away_sealed_and_what_is_refused_says_why(database, tmp_path):
    world = await make_world(database)
    first, _ = months(tmp_path)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "RSABEM-x.xml").write_bytes(first.read_bytes())
    (inbox / "RSABEM-y.xml").write_bytes(b"<Racine>")
    desk = world.app.desk
    caf = desk.partner(world.ids["caf"])
    from dataclasses import replace

    from hub.app import ROOT
    from hub.sdk.manifest import discover

    settings = {**caf.settings, "inbox": str(inbox)}
    desk._partners[caf.id] = replace(caf, connector=discover(ROOT / "connectors")["caf"], settings=settings)
    assert await Inbox(world.app.database, desk, world.app.acceptor).step() == 2
    assert sorted(p.name for p in inbox.glob("*/*")) == [
        "RSABEM-x.xml.report",
        "RSABEM-x.xml.sealed",
        "RSABEM-y.xml.report",
        "RSABEM-y.xml.sealed",
    ]
    assert not list(inbox.glob("*.xml"))
    assert len(await world.sql("select 1 from event")) > 0


def test_what_is_put_away_opens_with_the_master_key_only_and_nothing_can_be_cut_off(tmp_path):
    from hub.people.keys import MasterKey

    master, other = MasterKey(b"m" * 32), MasterKey(b"o" * 32)
    plain, sealed = tmp_path / "a", tmp_path / "a.sealed"
    plain.write_bytes(b"x" * 2_500_000)
    seal_file(master, plain, sealed)
    assert b"".join(open_file(master, sealed)) == plain.read_bytes()
    with pytest.raises(Tampered):
        list(open_file(other, sealed))
    whole = sealed.read_bytes()
    for damaged in (whole[: (1 << 20) + 28], whole[:-1], whole[28 + (1 << 20) :]):
        sealed.write_bytes(damaged)
        with pytest.raises(Tampered):
            list(open_file(master, sealed))
