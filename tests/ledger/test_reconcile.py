"""Reconcile finds what was deleted, added, flipped, lost or altered (invariant 12): each mutation, and nothing else."""

from __future__ import annotations

import pytest

from hub.ledger.reconcile import reconcile
from hub.ledger.why import why
from hub.store.database import run, transaction
from tests.hubs import World, answered, decided, entrant, make_world, moved, request


async def ready(database: str) -> World:
    """A world where everything has arrived and adds up."""
    world = await make_world(database)
    await world.accept("caf", [entrant(n) for n in (1, 2, 3)])
    await world.accept("cd", [decided(1, world), request(1, "s1", world), request(2, "s2", world)])
    await world.pump()
    await world.accept("s1", [answered(1)])
    await world.accept("caf", [moved(1, 1)])
    await world.pump()
    assert (await world.reconcile()).unaccounted == 0
    return world


async def mutate(world: World, statement: str) -> None:
    """Change rows behind the rules' back, as a restored backup or a hand in the database would."""
    async with transaction(world.app.database) as connection:
        await run(connection, "set local session_replication_role = replica")
        assert await run(connection, statement) > 0


MUTATIONS = {
    "a deleted row": (
        "delete from delivery where id = (select max(id) from delivery where initial = 'withheld')",
        "c",
        "missing",
    ),
    "an added row": (
        "insert into delivery (no, partner, person, record, initial, state, reason, due) "
        "select no, (select id from partner where id like 's2-%'), person, record, 'waiting', 'waiting', 'new', now() "
        "from delivery where record = 'NewRsaEntrant' limit 1",
        "c",
        "no rule gives",
    ),
    "a flipped verdict": (
        "update delivery set initial = 'waiting', state = 'waiting', reason = 'new', due = now() "
        "where id = (select max(id) from delivery where initial = 'withheld')",
        "c",
        "verdict",
    ),
    "a delivered row put back": (
        "update delivery set state = 'human', reason = 'poison' where id = (select min(id) from delivery where state = 'delivered')",
        "d",
        "no log",
    ),
    "a delivery that was never attempted": (
        "update delivery set attempt = 0 where id = (select min(id) from delivery where state = 'delivered')",
        "d",
        "without a settled attempt",
    ),
    "a closed row without its log": (
        "update delivery set state = 'skipped' where id = (select min(id) from delivery where state = 'delivered')",
        "d",
        "no log",
    ),
    "an event without its way": (
        "delete from event_way where no = (select max(no) from event_way)",
        "b",
        "no way",
    ),
    "an event counted and gone": (
        "insert into batch (territory, source, kind, name, state, known, counts) values "
        "('76', 's', 'file', 'f', 'complete', 3, '{\"processed\": 2, \"rejected\": 0, \"events\": 0}')",
        "a",
        "3 items known, 2 accounted",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
async def test_invariant_12_a_mutation_is_found(database, name):
    statement, check, words = MUTATIONS[name]
    world = await ready(database)
    await mutate(world, statement)
    result = await reconcile(world.app.database)
    assert result.unaccounted >= 1
    assert any(f.check == check and words in f.what for f in result.findings), result.findings


async def test_what_waits_is_accounted_with_its_age(database):
    world = await ready(database)
    await world.accept("caf", [entrant(9)])
    await world.route()
    result = await reconcile(world.app.database)
    assert result.unaccounted == 0
    assert [(w.state, w.reason, w.count) for w in result.waiting] == [("waiting", "new", 1)]


async def test_why_tells_the_chain_for_what_arrived_what_was_withheld_and_who_was_not_concerned(database):
    world = await ready(database)
    events = {r.record: str(r.id) for r in await world.sql("select record, id from event order by no")}
    told = await why(world.app.database, events["MeasureRequested"], world.ids["s2"])
    assert told.outcome == "delivered"
    assert "delivered at the first attempt" in told.steps[-2].what + told.steps[-1].what
    kept = await why(world.app.database, events["MeasureRequested"], world.ids["cd"])
    assert (kept.outcome, kept.reason) == ("withheld", "own_event")
    nobody = await why(world.app.database, events["NewRsaEntrant"], world.ids["ft"])
    assert nobody.outcome == "not_concerned"
    assert "never receives NewRsaEntrant" in nobody.reason
    with pytest.raises(LookupError, match="no event"):
        await why(world.app.database, "00000000-0000-4000-8000-000000000000", world.ids["ft"])
