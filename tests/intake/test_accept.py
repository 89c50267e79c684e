"""Accept: one event per source id, one person per person, refusals that leave nothing, receipts that mean durable."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hub.intake.results import Accepted, NotTaken
from tests.hubs import entrant, make_world, moved, numbers, request, subject


async def test_the_same_fact_twice_gives_the_same_receipt(database):
    world = await make_world(database)
    first = await world.accept("caf", [entrant(1)])
    again = await world.accept("caf", [entrant(1)])
    assert isinstance(first[0], Accepted)
    assert not first[0].again
    assert (again[0].event_id, again[0].no, again[0].again) == (first[0].event_id, first[0].no, True)


async def test_another_body_under_a_used_id_is_a_conflict_without_effect(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    other = entrant(1)
    changed = replace(other, fields={**other.fields, "role": "CJT"})
    result = (await world.accept("caf", [changed]))[0]
    assert isinstance(result, NotTaken)
    assert result.kind == "conflict"
    assert len(await world.sql("select 1 from event")) == 1


async def test_the_arrival_of_the_file_is_no_other_fact(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    later = entrant(1)
    later = replace(later, fields={**later.fields, "information_received_on": later.fields["claim_on"]})
    assert (await world.accept("caf", [later]))[0].again


async def test_invariant_2_one_event_per_source_id_under_concurrency(database):
    world = await make_world(database)
    answers = await asyncio.gather(*(world.accept("caf", [entrant(1), entrant(2)]) for _ in range(8)))
    assert len({r.no for answer in answers for r in answer}) == 2
    assert len(await world.sql("select 1 from event")) == 2
    assert len(await world.sql("select 1 from person")) == 2


async def test_invariant_3_numbers_of_one_person_follow_commit_order(database):
    """Each transaction remembers what was committed before it began; no earlier commit may have a higher number."""
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    committed: list[int] = []

    async def one(step: int) -> None:
        before = max(committed, default=0)
        no = numbers(await world.accept("caf", [moved(1, step)]))[0]
        assert no > before
        committed.append(no)

    await asyncio.gather(*(one(step) for step in range(30)))
    assert len(set(committed)) == 30


async def test_each_item_of_a_batch_fails_alone_and_leaves_nothing(database):
    world = await make_world(database)
    nameless = entrant(2, subject=subject(2, birth_name=None, first_names=()))
    results = await world.accept("caf", [entrant(1), nameless, entrant(3)])
    assert [type(r) for r in results] == [Accepted, NotTaken, Accepted]
    assert results[1].reason == "identity_incomplete"
    assert len(await world.sql("select 1 from person")) == 2
    assert not await world.sql(
        "select 1 from identity i left join person p on p.id = i.person where p.id is null"
    )


async def test_a_sender_emits_only_what_its_kind_may(database):
    world = await make_world(database)
    result = (await world.accept("ml", [entrant(1)]))[0]
    assert (result.kind, result.reason) == ("refused", "not_an_emitter")


async def test_real_people_are_refused_until_rights_are_built(database):
    world = await make_world(database)
    real = entrant(1, subject=subject(1, nir="2850476540001"))
    result = (await world.accept("caf", [real]))[0]
    assert (result.reason, result.field) == ("not_invented", "nir")


async def test_spouses_share_a_number_and_are_two_persons(database):
    world = await make_world(database)
    shared = ("CAF", "761", "0000007")
    couple = [
        entrant(1, subject=subject(1, matricule=shared, own_key=("CAF", "761", "0000007", "a"))),
        entrant(2, subject=subject(2, matricule=shared, own_key=("CAF", "761", "0000007", "b"))),
    ]
    numbers(await world.accept("caf", couple))
    assert len(await world.sql("select 1 from person")) == 2


async def test_the_same_person_under_another_payer_is_no_second_entrant(database):
    world = await make_world(database)
    one = subject(1, nir="1850499999001")
    await world.accept("caf", [entrant(1, subject=one)])
    other = replace(one, own_key=("MSA", "760", "x", "y"), matricule=None)
    again = entrant(1, subject=other)
    again = replace(
        again,
        key=("NewRsaEntrant", "msa"),
        fields={**again.fields, "payer": {"fonorg": "MSA", "numorg": "760"}},
    )
    result = (await world.accept("caf", [again]))[0]
    assert (result.kind, result.reason) == ("dropped", "other_payer")


async def test_an_identifier_added_to_a_known_person_is_an_event_of_its_own(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1)])
    await world.accept("caf", [replace(moved(1, 1), subject=subject(1, nir="1810299999001"))])
    records = [r.record for r in await world.sql("select record from event order by no")]
    assert sorted(records) == ["ContactChanged", "IdentityLinked", "NewRsaEntrant"]


async def test_names_and_numbers_are_nowhere_in_clear(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1, subject=subject(1, nir="1850499999001"))])
    await world.accept("cd", [request(1, "s1", world)])
    await world.pump()
    tables = [
        r.tablename for r in await world.sql("select tablename from pg_tables where schemaname = 'public'")
    ]
    for name in tables:
        text = " ".join(r[0] or "" for r in await world.sql(f'select t::text from "{name}" t'))
        for canary in ("INVENTE1", "Personne1", "1850499999001", "494e56454e544531"):
            assert canary not in text, name


async def test_a_measure_id_is_one_requests_for_ever(database):
    world = await make_world(database)
    await world.accept("caf", [entrant(1), entrant(2)])
    await world.accept("cd", [request(1, "s1", world, measure=7)])
    other = (
        await world.accept("cd", [replace(request(2, "s1", world, measure=7), key=("MeasureRequested", "x"))])
    )[0]
    assert (other.reason, other.field) == ("measure_id_in_use", "measure_id")
