"""Delivery by file: closing the window is the claim, lanes travel in order in one file, and every verdict is for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from hub.app import ROOT
from hub.delivery.files import FileDesk
from hub.sdk.manifest import discover
from hub.store.database import run, transaction
from tests.hubs import World, decided, entrant, make_world, moved


async def file_world(database: str, folder: Path) -> World:
    """A world whose mission locale gets files; the window closes once a day."""
    connector = discover(ROOT / "connectors")["mission_locale"]
    world = await make_world(database, ml=connector)
    desk = world.app.desk
    ml = desk.partner(world.ids["ml"])
    window = ml.outbound.window.model_copy(update={"every": "24 h"})
    quick = {"window": window, "deadline": 2.0, "settles_within": 1.0}
    desk._partners[ml.id] = replace(
        ml, outbound=ml.outbound.model_copy(update=quick), settings={**ml.settings, "folder": str(folder)}
    )
    return world


async def oriented(world: World, *people: int) -> None:
    """People oriented to the mission locale, each with two moves after it."""
    await world.accept("caf", [entrant(n) for n in people])
    await world.accept("cd", [decided(n, world, organism="ML", structure=world.ids["ml"]) for n in people])
    await world.accept("caf", [moved(n, step) for step in (1, 2) for n in people])


def rows_of(folder: Path) -> list[str]:
    return [
        line
        for path in sorted(folder.glob("[!.]*.csv"))
        for line in path.read_text(encoding="utf-8-sig").splitlines()[1:]
    ]


async def test_a_lane_travels_in_order_in_one_file_and_closes_as_a_whole(database, tmp_path):
    world = await file_world(database, tmp_path)
    await oriented(world, 1, 2)
    await world.pump()
    assert await world.states("ml") == ["waiting"] * 6
    await world.skip(86_400)
    await world.pump()
    assert await world.states("ml") == ["delivered"] * 6
    files = await world.sql("select name, verdict from file")
    assert [f.verdict for f in files] == ["delivered"]
    ranks = await world.sql(
        "select i.rank, d.no, d.person from file_item i join delivery d on d.id = i.delivery"
    )
    for person in {r.person for r in ranks}:
        mine = sorted((r.no, r.rank) for r in ranks if r.person == person)
        assert [rank for _, rank in mine] == [1, 2, 3]
    assert len(rows_of(tmp_path)) == 6
    result = await world.reconcile()
    assert result.unaccounted == 0, result.findings


async def test_a_window_that_is_open_waits_and_nothing_is_marked(database, tmp_path):
    world = await file_world(database, tmp_path)
    await oriented(world, 1)
    await world.pump()
    assert not rows_of(tmp_path)
    assert not await world.sql(
        "select 1 from delivery where partner = :p and marked_by is not null", p=world.ids["ml"]
    )


async def test_a_folder_that_is_not_there_pauses_the_partner_and_the_rows_wait_unmarked(database, tmp_path):
    world = await file_world(database, tmp_path / "missing")
    await oriented(world, 1)
    await world.route()
    await world.skip(86_400)
    await world.pump()
    assert await world.states("ml") == ["waiting"] * 3
    assert [r.kind for r in await world.sql("select kind from pause")] == ["unavailable"]
    assert not await world.sql(
        "select 1 from delivery where partner = :p and marked_by is not null", p=world.ids["ml"]
    )
    (tmp_path / "missing").mkdir()
    await world.skip(86_400)
    await world.pump()
    assert await world.states("ml") == ["delivered"] * 3
    assert (await world.reconcile()).unaccounted == 0


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["write", "mark_ready", "rename", "settle"])
async def test_whatever_step_a_process_died_in_the_file_leaves_exactly_once(
    database, tmp_path, step, monkeypatch
):
    world = await file_world(database, tmp_path)
    await oriented(world, 1)
    await world.route()
    await world.skip(86_400)

    async def die(*_, **__):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(FileDesk, step, die)
        with pytest.raises(Died):
            await world.sender.step()
    await world.skip_lease()
    await world.pump()
    assert await world.states("ml") == ["delivered"] * 3
    assert len(rows_of(tmp_path)) == 3
    assert not list(tmp_path.glob(".*.csv.*"))
    result = await world.reconcile()
    assert result.unaccounted == 0, result.findings


async def test_a_file_that_was_ready_and_is_nowhere_needs_a_human_with_all_its_rows(
    database, tmp_path, monkeypatch
):
    world = await file_world(database, tmp_path)
    await oriented(world, 1)
    await world.route()
    await world.skip(86_400)

    async def die(*_, **__):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(FileDesk, "settle", die)
        with pytest.raises(Died):
            await world.sender.step()
    for path in tmp_path.glob("*.csv"):
        path.unlink()  # taken by the partner, which keeps no archive
    await world.skip_lease()
    await world.pump()
    assert await world.states("ml") == ["human"] * 3
    assert {r.reason for r in await world.sql("select reason from delivery where state = 'human'")} == {
        "unknown_outcome"
    }
    assert (await world.reconcile()).unaccounted == 0


async def test_riders_are_touched_by_nothing_but_their_file_until_its_verdict(
    database, tmp_path, monkeypatch
):
    world = await file_world(database, tmp_path)
    await oriented(world, 1)
    await world.route()
    await world.skip(86_400)

    async def die(*_, **__):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(FileDesk, "write", die)
        with pytest.raises(Died):
            await world.sender.step()
    with pytest.raises(DBAPIError, match="marked until"):
        async with transaction(world.app.database) as connection:
            await run(
                connection,
                "update delivery set state = 'skipped' where state = 'waiting' and marked_by is not null",
            )
