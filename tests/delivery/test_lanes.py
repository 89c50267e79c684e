"""Lanes: one item per (partner, person) at a time, in order; others go on; what may have arrived is never sent blindly."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from hub.delivery.settle import Ended, settle
from hub.sdk.outbound import Outcome
from hub.store.database import run, transaction
from tests.hubs import decided, entrant, make_world, moved, recorder_connector, request


async def test_an_event_reaches_each_concerned_partner_once(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.accept("cd", [decided(1, world)])
    await world.pump()
    assert await world.states("cd") == ["delivered", "withheld"]  # its own decision is not told to it
    assert await world.states("ft") == ["delivered"]
    assert await world.states("ml") == []
    assert len(world.partner("ft").applied) == 1
    result = await world.reconcile()
    assert result.unaccounted == 0, result.findings


async def test_a_failing_item_holds_its_lane_and_no_other(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1), entrant(2)])
    await world.pump()
    cd = world.partner("cd")
    cd.programme.append(Outcome("retry", "busy"))
    await world.accept("caf", [moved(1, 1)])
    await world.pump()
    await world.accept("caf", [moved(1, 2), moved(2, 1)])
    await world.pump()
    assert await world.states("cd") == ["delivered", "delivered", "waiting", "waiting", "delivered"]
    await world.skip(60)
    await world.pump()
    assert await world.states("cd") == ["delivered"] * 5
    events = [r.no for r in await world.sql("select no from event order by no")]
    order = {str(r.id): r.no for r in await world.sql("select id, no from event")}
    applied = [order[key] for key in cd.known_keys()]
    assert applied == [events[0], events[1], events[4], events[2], events[3]]
    assert (await world.reconcile()).unaccounted == 0


async def test_invariant_5_nothing_starts_before_an_older_event_of_its_person_is_routed(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.route()
    await world.accept("caf", [moved(1, 1)])
    late = await world.sql("select e.no from event e where record = 'ContactChanged'")
    await world.accept("caf", [moved(1, 2)])
    async with transaction(world.app.database) as connection:
        # the log showed dispatch the younger event first
        await run(
            connection,
            "update event_way set routed_at = null, routed_under = null where no = :n",
            n=late[0].no,
        )
    ids = await world.sql("select id, body_hash from event where no > :n", n=late[0].no)
    from hub.delivery.routing import route_records
    from hub.log.scan import Seen

    await route_records(
        world.app.database, world.app.desk, [Seen("t", 0, 0, r.id, bytes(r.body_hash)) for r in ids]
    )
    for _ in range(5):
        await world.sender.step()
        await asyncio.sleep(0)
    assert await world.states("cd") == ["delivered", "waiting"]
    await world.pump()
    assert await world.states("cd") == ["delivered", "delivered", "delivered"]
    order = {str(r.id): r.no for r in await world.sql("select id, no from event")}
    applied = [order[key] for key in world.partner("cd").known_keys()]
    assert applied == sorted(applied)


async def test_invariant_6_a_settle_with_a_stale_attempt_changes_nothing(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.route()
    partner = world.partner("cd")
    partner.hold = asyncio.Event()
    await world.sender.step()
    item = next(iter(world.sender._tasks))
    claimed = await world.sql("select id, attempt from delivery where state = 'sending'")
    assert claimed
    await world.skip_lease()
    await world.sender.step()  # lapses and claims again: attempt 2
    before = await world.sql("select state, attempt, reason from delivery where id = :i", i=claimed[0].id)
    zombie = world.last_claimed(claimed[0].id, 1)
    result = await settle(
        world.app.database, world.app.desk, [Ended(zombie, Outcome("refused", "X"))], lambda: 0.5
    )
    assert result.stale == 1
    assert (
        await world.sql("select state, attempt, reason from delivery where id = :i", i=claimed[0].id)
        == before
    )
    notes = await world.sql("select note, to_state from delivery_log where note = 'stale'")
    assert [(r.note, r.to_state) for r in notes] == [("stale", "refused")]
    partner.hold.set()
    await item
    await world.pump()
    assert len(partner.applied) == 1
    assert (await world.reconcile()).unaccounted == 0


async def test_an_answer_that_was_lost_is_asked_for_again_under_the_same_key(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    row = (await world.sql("select state, reason, marked_by, due >= lease_until as kept from delivery"))[0]
    assert (row.state, row.reason, row.marked_by, row.kept) == ("waiting", "retry", 1, True)
    await world.skip(30)
    await world.pump()
    assert await world.states("cd") == ["delivered"]
    assert len(world.partner("cd").sent) == 2
    assert len(set(world.partner("cd").sent)) == 1
    assert len(world.partner("cd").applied) == 1


async def test_a_partner_with_look_up_is_asked_before_anything_is_sent_again(database):
    look = recorder_connector("looking", unknown_outcome="look_up")
    world = await make_world(database, cd=look)
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    await world.skip(30)
    await world.pump()
    assert await world.states("cd") == ["delivered"]
    assert len(world.partner("cd").sent) == 1
    assert world.partner("cd").looked_up == 1


async def test_a_partner_with_neither_gets_it_at_most_once_and_a_human_decides(database):
    blind = recorder_connector("blind", unknown_outcome="none")
    world = await make_world(database, cd=blind)
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    await world.skip(86_400)
    await world.pump()
    row = (await world.sql("select state, reason from delivery"))[0]
    assert (row.state, row.reason) == ("human", "unknown_outcome")
    assert len(world.partner("cd").sent) == 1


async def test_a_marked_item_is_taken_byte_for_byte_from_the_store(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    first = (await world.sql("select message_hash from delivery"))[0].message_hash
    await world.skip(30)
    await world.pump()
    assert (await world.sql("select message_hash from delivery"))[0].message_hash == first


async def test_a_refusal_closes_the_item_and_the_lane_goes_on(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.pump()
    world.partner("cd").programme.append(Outcome("refused", "E42"))
    await world.accept("caf", [moved(1, 1), moved(1, 2)])
    await world.pump()
    assert await world.states("cd") == ["delivered", "refused", "delivered"]


async def test_a_poisoned_item_needs_a_human_and_holds_only_its_lane(database):
    from tests.recorder.outbound import BUGS

    world = await make_world(database)
    await world.accept("caf", [entrant(1), entrant(2)])
    await world.pump()
    person = (await world.sql("select e.id from event e order by no limit 1"))[0].id

    def bug(view):
        if view.record == "ContactChanged" and view.event_id == bad:
            raise KeyError("planted")

    accepted = await world.accept("caf", [moved(1, 1), moved(2, 1)])
    bad = str(accepted[0].event_id)
    BUGS[world.ids["cd"]] = bug
    await world.pump()
    del BUGS[world.ids["cd"]]
    rows = await world.sql("select state, reason, code from delivery where no > 2 order by no")
    assert [(r.state, r.reason, r.code) for r in rows] == [
        ("human", "poison", "KeyError"),
        ("delivered", None, None),
    ]
    assert person
    assert (await world.reconcile()).unaccounted == 0


async def test_five_unavailable_on_two_persons_pause_the_partner_and_one_probe_lifts_it(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(n) for n in range(1, 7)])
    world.partner("cd").programme.extend([Outcome("unavailable")] * 6)
    await world.pump()
    pauses = await world.sql("select kind from pause")
    assert [p.kind for p in pauses] == ["unavailable"]
    sent = len(world.partner("cd").sent)
    await world.skip(15)
    await world.pump()
    assert len(world.partner("cd").sent) == sent
    await world.skip(20)
    await world.pump()
    assert await world.states("cd") == ["delivered"] * 6
    assert not await world.sql("select 1 from pause")


async def test_what_a_person_paused_stays_paused_whatever_the_partner_answers(database):
    from hub.rights.store import pause, resume

    world = await make_world(database)
    await pause(world.app.database, world.ids["cd"], "maintenance", None, "test")
    await world.accept("caf", [entrant(1)])
    await world.pump()
    assert await world.states("cd") == ["waiting"]
    await resume(world.app.database, world.ids["cd"], "test")
    await world.pump()
    assert await world.states("cd") == ["delivered"]


async def test_invariant_9_closed_states_never_change(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.pump()
    for state in ("waiting", "sending", "human", "refused", "skipped", "erased"):
        with pytest.raises(DBAPIError, match="may not become"):
            async with transaction(world.app.database) as connection:
                await run(
                    connection,
                    "update delivery set state = :s, reason = 'retry', attempt = 9, claimed_at = now(), deadline = now(), "
                    "lease_until = now(), marked_by = 1, marked_at = now() where state = 'delivered'",
                    s=state,
                )


async def test_the_lease_of_a_marked_item_is_neither_cleared_nor_lowered(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append("lost")
    await world.pump()
    for wrong in ("lease_until = null, due = null", "lease_until = lease_until - interval '1 s', due = null"):
        with pytest.raises(DBAPIError):
            async with transaction(world.app.database) as connection:
                await run(connection, f"update delivery set {wrong}")
    with pytest.raises(DBAPIError, match="marked until"):
        async with transaction(world.app.database) as connection:
            await run(connection, "update delivery set state = 'skipped', due = null")


async def test_a_sensitive_measure_reaches_its_addressee_and_is_withheld_from_who_would_get_a_copy(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.accept("cd", [decided(1, world, structure=world.ids["ml"], organism="ML")])
    await world.accept(
        "cd", [request(1, "s1", world, type=None, sensitive={"sensitive_type": "ecoute_psychologique"})]
    )
    await world.pump()
    rows = await world.sql(
        "select partner, state, reason from delivery where record = 'MeasureRequested' order by partner"
    )
    found = {r.partner.split("-")[0]: (r.state, r.reason) for r in rows}
    assert found["s1"] == ("delivered", None)
    assert found["ml"] == ("withheld", "sensitive_measure")


async def test_a_partner_with_a_rate_gets_no_more_than_its_tokens_at_once(database):
    slow = recorder_connector("slow", rate=3.0)
    world = await make_world(database, cd=slow)
    await world.accept("caf", [entrant(n) for n in range(10)])
    await world.route()
    await world.sender.step()
    first = len(await world.sql("select 1 from delivery where state = 'sending'"))
    assert 1 <= first <= 3
    async with transaction(world.app.database) as connection:
        await run(connection, "update partner set tokens_at = tokens_at - interval '10 s'")
    await asyncio.sleep(0)
    await world.sender.step()
    assert len(await world.sql("select 1 from delivery where attempt = 1")) <= first + 3
    assert not await world.sql("select 1 from partner where tokens < 0")


async def test_who_waits_for_an_identifier_is_served_as_soon_as_it_is_known(database):
    from dataclasses import replace

    from tests.hubs import subject

    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    world.partner("cd").programme.append(Outcome("unknown_person"))
    await world.pump()
    assert [(r.state, r.reason) for r in await world.sql("select state, reason from delivery")] == [
        ("waiting", "identity")
    ]
    await world.accept("caf", [replace(moved(1, 1), subject=subject(1, nir="1810299999001"))])
    await world.pump()
    assert await world.states("cd") == ["delivered", "delivered"]


async def test_a_partner_that_gives_its_number_links_it_and_a_number_of_somebody_else_is_a_question(database):
    from hub.sdk.outbound import Learned

    world = await make_world(database)
    await world.accept("caf", [entrant(1), entrant(2)])
    learned = (Learned("france_travail_id", "99990000001"),)
    world.partner("cd").programme.extend([Outcome("delivered", learned=learned)] * 2)
    await world.pump()
    records = [r.record for r in await world.sql("select record from event order by no")]
    assert records == ["NewRsaEntrant", "NewRsaEntrant", "IdentityLinked"]
    assert [r.reason for r in await world.sql("select reason from review")] == ["learned_of_another"]
    await world.pump()
    assert (await world.reconcile()).unaccounted == 0
