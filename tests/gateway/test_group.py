"""Group commit: receipts share commits; nobody pays for another one's item, cancellation or failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from hub.gateway.group import Busy, Collector
from hub.intake.results import Accepted, Incoming, Result
from hub.store.database import NoRoom
from tests.gateway.doors import decision, doors
from tests.hubs import entrant


def item(id: str) -> Incoming:
    return Incoming(entrant(1), id, id.encode())


class Intake:
    """Remembers transactions; `hold` keeps the first one open."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.hold = asyncio.Event()
        self.failing: dict[str, Exception] = {}

    async def accept(self, partner: str, items: Sequence[Incoming]) -> list[Result]:
        self.batches.append([i.source_event_id or "" for i in items])
        await self.hold.wait()
        for one in items:
            if one.source_event_id in self.failing:
                raise self.failing[one.source_event_id]
        return [Accepted(UUID(int=n), n, datetime.now(UTC)) for n, _ in enumerate(items)]


async def started(collector: Collector, *ids: str, partner: str = "p") -> list[asyncio.Task]:
    tasks = [asyncio.create_task(collector.publish(partner, [item(id)])) for id in ids]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_waits_while_a_transaction_runs_goes_into_the_next_one():
    intake = Intake()
    collector = Collector(intake.accept, most=64)
    tasks = await started(collector, *map(str, range(70)))
    intake.hold.set()
    await asyncio.gather(*tasks)
    assert [len(b) for b in intake.batches] == [64, 6]


async def test_partners_do_not_wait_for_each_other():
    intake = Intake()
    collector = Collector(intake.accept)
    one, other = await started(collector, "a"), await started(collector, "a", partner="q")
    assert len(intake.batches) == 2
    intake.hold.set()
    await asyncio.gather(*one, *other)


async def test_one_id_comes_once_in_a_transaction():
    intake = Intake()
    collector = Collector(intake.accept)
    tasks = await started(collector, "first")
    tasks += await started(collector, "a", "b", "a", "c")
    intake.hold.set()
    await asyncio.gather(*tasks)
    assert intake.batches == [["first"], ["a", "b", "c"], ["a"]] or intake.batches == [
        ["first", "a", "b", "c"],
        ["a"],
    ]


async def test_a_caller_that_goes_away_takes_nobody_with_it():
    intake = Intake()
    collector = Collector(intake.accept)
    first = await started(collector, "first")
    gone, stays = await started(collector, "gone", "stays")
    gone.cancel()
    await asyncio.sleep(0)
    intake.hold.set()
    assert isinstance((await stays)[0], Accepted)
    assert isinstance((await first[0])[0], Accepted)
    assert "gone" not in intake.batches[-1]


async def test_a_caller_that_goes_away_in_its_transaction_takes_nobody_with_it():
    intake = Intake()
    collector = Collector(intake.accept)
    gone, stays = await started(collector, "gone", "stays")
    assert intake.batches == [["gone", "stays"]]
    gone.cancel()
    await asyncio.sleep(0)
    intake.hold.set()
    assert isinstance((await stays)[0], Accepted)


async def test_an_item_that_fails_a_transaction_fails_alone():
    intake = Intake()
    intake.hold.set()
    intake.failing["bad"] = ValueError("planted")
    collector = Collector(intake.accept)
    results = await collector.publish("p", [item("a"), item("bad"), item("c")])
    assert [type(r) for r in results] == [Accepted, ValueError, Accepted]
    assert intake.batches == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


class _Lost(Exception):
    sqlstate = "08006"


@pytest.mark.parametrize("error", [NoRoom("full"), OSError(), DBAPIError("s", {}, _Lost())])
async def test_the_databases_trouble_is_everybodys_at_once(error):
    intake = Intake()
    intake.hold.set()
    intake.failing["a"] = error
    results = await Collector(intake.accept).publish("p", [item("a"), item("b")])
    assert [type(r) for r in results] == [type(error)] * 2
    assert len(intake.batches) == 1


async def test_a_full_queue_refuses_whole_requests():
    intake = Intake()
    collector = Collector(intake.accept, most=2, room=3)
    tasks = await started(collector, "a", "b")
    tasks += await started(collector, "c", "d")
    with pytest.raises(Busy):
        await collector.publish("p", [item("e"), item("f")])
    assert not any("e" in batch for batch in intake.batches)
    intake.hold.set()
    await asyncio.gather(*tasks)
    assert isinstance((await collector.publish("p", [item("e")]))[0], Accepted)


async def test_concurrent_publishes_give_one_event_each_and_share_commits(database, monkeypatch):
    async with doors(database) as hub:
        sizes: list[int] = []
        accept = hub.world.app.acceptor.accept

        async def counted(partner, flow, items):
            sizes.append(len(items))
            return await accept(partner, flow, items)

        monkeypatch.setattr(hub.world.app.acceptor, "accept", counted)
        await hub.header("cd")
        answers = await asyncio.gather(
            *(hub.publish("cd", decision(n, id=f"d-{n}")) for n in range(64)),
            *(hub.publish("cd", decision(n, id=f"d-{n}")) for n in range(8)),
        )
        assert {a.status_code for a in answers} == {202}
        receipts = [a.json()["id"] for a in answers]
        assert len(set(receipts)) == 64
        assert receipts[64:] == receipts[:8]
        assert await hub.events() == 64
        assert len(sizes) < 64
        assert max(sizes) <= 64
