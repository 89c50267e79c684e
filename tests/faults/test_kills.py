"""kill -9 of the hub at each seam and at random: every effect exactly once, order kept, nothing unaccounted.

Invariants 1 (receipts), 4 (routed once), 5, 7 (effects), 8 (order), 16 (memory and events) and 18 (faults, then none).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import asynccontextmanager

import httpx
import pytest

from hub.gateway.auth import create_key
from hub.store.database import rows, transaction
from tests.faults.driver import SEAMS
from tests.faults.world import FaultWorld, make, process
from tests.gateway.doors import decision

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

KILLED = -signal.SIGKILL


@asynccontextmanager
async def fault_world(database: str, kafka: str, tmp_path, people: int):
    places = {
        "keyed": tmp_path / "keyed.jsonl",
        "folder": tmp_path / "drop",
        "structure": tmp_path / "structure",
    }
    places["folder"].mkdir()
    places["structure"].mkdir()
    with (
        process("tests.faults.keyed", str(places["keyed"])) as keyed,
        process("connectors.structure.twin", "--port", "0", "--state", str(places["structure"])) as structure,
    ):
        world = await make(database, kafka, people, keyed["url"], structure["url"], places)
        try:
            yield world
        finally:
            await world.app.close()


async def ended(running) -> int:
    return await asyncio.to_thread(running.wait, 120)


async def finish(world: FaultWorld) -> None:
    """Faults, then no faults: the next start drains everything and ends by itself."""
    assert await ended(world.start()) == 0
    await world.holds()


async def test_kill_9_at_each_seam_one_after_the_other_loses_and_repeats_nothing(database, stack, tmp_path):
    """Each start brings new people, so that every seam is passed; the world is the same all along."""
    async with fault_world(database, stack.kafka, tmp_path, 0) as world:
        for seam in SEAMS:
            world.people += 3
            assert await ended(world.start(f"{seam}:1")) == KILLED, seam
        await finish(world)


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_kill_9_at_random_moments_loses_and_repeats_nothing(database, stack, tmp_path):
    """HUB_FAULTS kills (default 100), each after some seconds of work at a moment drawn from a seed that is printed."""
    kills, seed = int(os.environ.get("HUB_FAULTS", "100")), random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    async with fault_world(database, stack.kafka, tmp_path, 0) as world:
        for _ in range(kills):
            world.people += 2
            running = world.start()
            await asyncio.sleep(2 + draw.random() * 3)
            running.kill()
            assert await ended(running) in (KILLED, 0)
        await finish(world)


async def test_a_zombie_that_wakes_after_its_deadline_dies_before_it_can_send(database, stack, tmp_path):
    """SIGSTOP past deadline and lease, a second hub takes over, SIGCONT: the kernel timer ends the first."""
    async with fault_world(database, stack.kafka, tmp_path, 30) as world:
        zombie = world.start()
        while not world.keyed.read_text(encoding="utf-8"):
            await asyncio.sleep(0.02)
        zombie.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3.5)
        second = world.start()
        assert await ended(second) == 0
        zombie.send_signal(signal.SIGCONT)
        assert await ended(zombie) in (-signal.SIGALRM, 0)
        await world.holds()


async def test_invariant_1_every_receipt_has_its_event_after_kill_9(database, stack, tmp_path):
    """Sixteen senders publish while the gateway is killed; each receipt that was given is in the database, and what is
    sent again gets the receipt that it had."""
    async with fault_world(database, stack.kafka, tmp_path, 0) as world:
        key = await create_key(world.app.database, world.ids["cd"])
        receipts: dict[str, str] = {}
        for round_ in range(2):
            gateway, url = await serving(world)
            async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
                sending = [asyncio.create_task(publish(client, receipts, n)) for n in range(16)]
                while len(receipts) < 40 * (round_ + 1):
                    await asyncio.sleep(0.01)
                gateway.kill()
                await asyncio.gather(*sending)
            await ended(gateway)
        async with transaction(world.app.database) as connection:
            stored = {
                r.source_event_id: str(r.id)
                for r in await rows(connection, "select source_event_id, id from event")
            }
        assert {name: stored.get(name) for name in receipts} == receipts


async def serving(world: FaultWorld):
    """A gateway process and its address."""
    place = world.app.settings.home / "gateway.url"
    place.unlink(missing_ok=True)
    running = world.start(role="gateway")
    while not place.exists() or not place.read_text(encoding="utf-8").strip():
        assert running.poll() is None
        await asyncio.sleep(0.05)
    return running, place.read_text(encoding="utf-8").strip()


async def publish(client: httpx.AsyncClient, receipts: dict[str, str], sender: int) -> None:
    """Publish until the gateway is gone; keep every receipt, and check that a repeated id keeps its own."""
    for step in range(10_000):
        name = f"{sender}-{step}"
        try:
            answer = await client.post(
                "/v1/events",
                json=decision(sender, name),
                headers={"Content-Type": "application/cloudevents+json"},
            )
        except httpx.HTTPError:
            return
        assert answer.status_code == 202, answer.text
        assert receipts.setdefault(name, answer.json()["id"]) == answer.json()["id"]
