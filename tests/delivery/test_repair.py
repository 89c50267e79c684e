"""What a person may do about a delivery, and what not: never while it may be reaching the partner, never a second effect."""

from __future__ import annotations

import asyncio

import pytest

from hub.delivery.repair import BadReason, NoSuchDelivery, checked, confirm, like, retry, skip
from hub.delivery.settle import Ended, settle
from hub.sdk.manifest import FileWindow
from hub.sdk.outbound import Outcome
from tests.hubs import World, entrant, make_world, moved, recorder_connector


async def ids(world: World, state: str) -> list[int]:
    return [r.id for r in await world.sql("select id from delivery where state = :s order by id", s=state)]


async def unsure(database: str) -> tuple[World, int]:
    """A world whose département can be asked nothing, and a delivery to it of which nobody knows whether it arrived."""
    world = await make_world(database, cd=recorder_connector("blind", unknown_outcome="none"))
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    return world, (await ids(world, "human"))[0]


async def test_a_retry_begins_a_new_series_and_the_lane_goes_on(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1), moved(1, 1)])
    world.partner("cd").programme.append(Outcome("several_matches"))
    await world.pump()
    assert await world.states("cd") == ["human", "waiting"]
    done = await retry(world.app.database, world.app.desk, await ids(world, "human"), "test")
    assert (len(done.done), done.refused) == (1, {})
    row = (
        await world.sql(
            "select state, reason, tries, due is not null as due from delivery order by no limit 1"
        )
    )[0]
    assert tuple(row) == ("waiting", "retry", 0, True)
    await world.pump()
    assert await world.states("cd") == ["delivered", "delivered"]
    assert (await world.reconcile()).unaccounted == 0


async def test_a_skip_lets_later_ones_of_the_lane_go(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1), moved(1, 1), moved(1, 2)])
    world.partner("cd").programme.append(Outcome("several_matches"))
    await world.pump()
    behind = await ids(world, "waiting")
    done = await skip(world.app.database, [*await ids(world, "human"), behind[0]], "no longer wanted", "test")
    assert len(done.done) == 2
    await world.pump()
    assert await world.states("cd") == ["skipped", "skipped", "delivered"]
    assert (await world.reconcile()).unaccounted == 0


async def test_nothing_is_done_while_it_may_be_reaching_the_partner(database):
    world, one = await unsure(database)
    database_, desk = world.app.database, world.app.desk
    for result in (
        await retry(database_, desk, [one], "test", not_there=True),
        await skip(database_, [one], "not wanted", "test"),
        await confirm(database_, [one], "seen there", "test"),
    ):
        assert result.done == []
        assert "nothing can be done with it before" in result.refused[one]
    assert await world.states("cd") == ["human"]
    await world.skip(10)
    assert (await confirm(database_, [one], "seen there", "test")).done == [one]


async def test_what_may_have_arrived_is_not_sent_again_blindly(database):
    world, one = await unsure(database)
    await world.skip(10)
    result = await retry(world.app.database, world.app.desk, [one], "test")
    assert result.done == []
    assert "ask the partner" in result.refused[one]
    assert await world.states("cd") == ["human"]


async def test_a_persons_not_there_takes_the_mark_away(database):
    world, one = await unsure(database)
    await world.skip(10)
    world.partner("cd").applied.clear()  # it was lost on the way there, not on the way back
    assert (await retry(world.app.database, world.app.desk, [one], "test", not_there=True)).done == [one]
    assert [r.marked_by for r in await world.sql("select marked_by from delivery")] == [None]
    await world.pump()
    assert await world.states("cd") == ["delivered"]
    assert (await world.reconcile()).unaccounted == 0


async def test_a_confirmed_delivery_is_delivered_without_a_mark(database):
    world, one = await unsure(database)
    await world.skip(10)
    await world.accept("caf", [moved(1, 1)])
    await world.route()
    assert (await confirm(world.app.database, [one], "seen there", "test")).done == [one]
    row = (await world.sql("select marked_by, settled_at from delivery where id = :i", i=one))[0]
    assert row.marked_by is None
    assert row.settled_at is not None
    await world.pump()
    assert await world.states("cd") == ["delivered", "delivered"]
    assert (await world.reconcile()).unaccounted == 0


async def test_a_skipped_one_that_may_have_arrived_says_so_for_ever(database):
    from hub.ledger.why import why

    world, one = await unsure(database)
    await world.skip(10)
    assert (await skip(world.app.database, [one], "lost with the partner", "test")).done == [one]
    no = (await world.sql("select no from event"))[0].no
    told = await why(world.app.database, str(no), world.ids["cd"])
    assert told.outcome == "skipped"
    assert "closed, but it may have been applied" in told.steps[-1].what


async def test_a_key_is_used_again_only_while_the_partner_remembers_it(database):
    world = await make_world(database, cd=recorder_connector("keyed", key_lifetime=20.0))
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    one = (await world.sql("select id, state from delivery"))[0]
    assert one.state == "waiting"
    await world.skip(5)
    world.partner("cd").programme.extend(["lost"] * 5)
    for _ in range(4):
        await world.skip(15)
        await world.pump()
    assert await world.states("cd") == ["human"]
    await world.skip(10)
    result = await retry(world.app.database, world.app.desk, [one.id], "test")
    assert "ask the partner" in result.refused[one.id]


async def test_with_a_look_up_it_is_asked_for_first(database):
    world = await make_world(database, cd=recorder_connector("looking", unknown_outcome="look_up"))
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    await world.skip(10)
    one = (await world.sql("select id from delivery"))[0].id
    from hub.store.database import run, transaction

    async with transaction(world.app.database) as connection:
        await run(connection, "update delivery set state = 'human', reason = 'retries_exhausted', due = null")
        await run(
            connection,
            "insert into delivery_log (delivery, attempt, from_state, to_state, reason) values (:d, 1, 'waiting', 'human', 'retries_exhausted')",
            d=one,
        )
    assert (await retry(world.app.database, world.app.desk, [one], "test")).done == [one]
    await world.pump()
    assert await world.states("cd") == ["delivered"]
    assert len(world.partner("cd").sent) == 1
    assert (await world.reconcile()).unaccounted == 0


async def test_what_is_being_sent_is_left_alone(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.route()
    world.partner("cd").hold = asyncio.Event()
    await world.sender.step()
    one = (await ids(world, "sending"))[0]
    assert "being sent" in (await skip(world.app.database, [one], "not wanted", "test")).refused[one]
    world.partner("cd").hold.set()
    await world.pump()
    assert await world.states("cd") == ["delivered"]


async def test_an_item_that_was_never_sent_cannot_be_confirmed(database):
    from tests.recorder.outbound import BUGS

    world = await make_world(database)

    def bug(_):
        raise KeyError("planted")

    BUGS[world.ids["cd"]] = bug
    await world.accept("caf", [entrant(1)])
    await world.pump()
    del BUGS[world.ids["cd"]]
    one = (await ids(world, "human"))[0]
    assert "never tried" in (await confirm(world.app.database, [one], "seen there", "test")).refused[one]
    assert (await retry(world.app.database, world.app.desk, [one], "test")).done == [one]
    await world.pump()
    assert await world.states("cd") == ["delivered"]
    assert (await world.reconcile()).unaccounted == 0


async def test_each_of_many_is_decided_alone(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(n) for n in range(1, 4)])
    world.partner("cd").programme.extend([Outcome("several_matches")] * 2)
    await world.pump()
    human, delivered = await ids(world, "human"), await ids(world, "delivered")
    result = await retry(world.app.database, world.app.desk, [*human, *delivered, *human], "test")
    assert result.done == human
    assert list(result.refused) == delivered
    with pytest.raises(NoSuchDelivery, match="999999"):
        await skip(world.app.database, [*human, 999_999], "not wanted", "test")
    assert await ids(world, "skipped") == []


async def test_all_like_one_share_partner_reason_and_code(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(n) for n in range(1, 5)])
    world.partner("cd").programme.extend([Outcome("several_matches", code) for code in ("A", "A", "B")])
    await world.pump()
    by_code = {
        r.code: r.ids
        for r in await world.sql(
            "select code, array_agg(id order by no) as ids from delivery where state = 'human' group by 1"
        )
    }
    assert await like(world.app.database, by_code["A"][0]) == by_code["A"]
    assert await like(world.app.database, by_code["B"][0]) == by_code["B"]


async def test_a_late_answer_after_a_skip_changes_nothing(database):
    world, one = await unsure(database)
    await world.skip(10)
    await skip(world.app.database, [one], "not wanted", "test")
    late = world.last_claimed(one, 1)
    result = await settle(
        world.app.database, world.app.desk, [Ended(late, Outcome("delivered"))], lambda: 0.5
    )
    assert result.stale == 1
    assert await world.states("cd") == ["skipped"]


@pytest.mark.parametrize(
    "reason", ["", "ab", "x" * 201, "call 06 39 98 00 01", "1 85 04 99 999 001", "a@b.example"]
)
def test_a_reason_that_may_not_be_kept_is_refused(reason):
    with pytest.raises(BadReason):
        checked(reason)


def test_a_reason_is_kept_on_one_line():
    assert checked(" ticket\n4711, since 2026-11-24 10:30 ") == "ticket 4711, since 2026-11-24 10:30"


# ------------------------------------------------------------------ partners by file
@pytest.fixture
async def by_file(database, tmp_path, monkeypatch) -> World:
    """A département that gets files in `tmp_path`."""
    import json

    from tests.recorder import outbound as recorder

    monkeypatch.setattr(
        recorder, "render", lambda messages, _: json.dumps([m.body for m in messages]).encode(), raising=False
    )
    connector = recorder_connector("files", transport="file", window=FileWindow(every="15 min"))
    world = await make_world(database, cd=connector)
    desk = world.app.desk.partner(world.ids["cd"])
    monkeypatch.setitem(desk.settings, "folder", str(tmp_path))
    await world.accept("caf", [moved(1, 1), moved(1, 2)])
    await world.route()
    return world


async def test_what_is_in_a_file_under_way_waits_for_its_verdict(by_file, monkeypatch):
    world = by_file

    async def dies(*_):
        raise asyncio.CancelledError

    monkeypatch.setattr(world.sender.files, "leave", dies)
    await world.skip(1800)
    with pytest.raises(asyncio.CancelledError):
        await world.sender.files.step()
    rows = await world.sql("select id, state, marked_by from delivery order by no")
    assert [r.state for r in rows] == ["sending", "waiting"]
    result = await skip(world.app.database, [r.id for r in rows], "not wanted", "test")
    assert result.done == []
    assert all("which is under way" in why for why in result.refused.values())


async def test_a_retry_at_a_partner_by_file_waits_for_the_next_file(by_file, monkeypatch, tmp_path):
    world = by_file
    render = world.app.connectors["files"].outbound.render

    def broken(*_):
        raise ValueError("planted")

    monkeypatch.setattr(world.app.connectors["files"].outbound, "render", broken)
    await world.skip(1800)
    await world.sender.files.step()
    human = await ids(world, "human")
    assert len(human) == 2
    monkeypatch.setattr(world.app.connectors["files"].outbound, "render", render)
    await world.skip(1800)
    assert (await retry(world.app.database, world.app.desk, human, "test")).done == human
    rows = await world.sql("select state, reason, due from delivery")
    assert {tuple(r) for r in rows} == {("waiting", "file", None)}
    await world.sender.files.step()
    assert await world.states("cd") == ["delivered", "delivered"]
    assert len(list(tmp_path.iterdir())) == 1
    assert (await world.reconcile()).unaccounted == 0
