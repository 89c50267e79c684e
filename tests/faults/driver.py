"""A whole hub in one process that accepts a set of facts, delivers everything and ends; it may kill itself at a seam.

`python -m tests.faults.driver` with HUB_* set, FAULT_WORLD (JSON: partner ids), FAULT_PEOPLE (how many) and FAULT_SEAM
("name:n": kill -9 at the n-th passing); FAULT_ROLE "gateway" serves HTTP and nothing else. Exit 0 = everything accepted, routed and closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import uvloop

import hub.delivery.routing as routing
import hub.delivery.send as send
import hub.intake.accept as accept
from consumers.dispatch import Dispatch
from hub import roles
from hub.app import App
from hub.delivery.files import FileDesk
from hub.delivery.send import Sender
from hub.intake.accept import Acceptor
from hub.intake.results import Incoming
from hub.log.relay import Relay
from hub.settings import Settings
from hub.store.database import rows, transaction
from tests.faults.world import connectors, facts

Place = tuple[Any, str, bool]

#: seam → (object, attribute, kill before the call (or after it)).
SEAMS: dict[str, Place] = {
    "accept_before_commit": (accept, "insert_events", False),
    "accept_after_commit": (Acceptor, "accept", False),
    "relay_before_ack": (Relay, "_send", False),
    "relay_after_ack": (Relay, "mark_published", True),
    "relay_after_mark": (Relay, "mark_published", False),
    "dispatch_before_commit": (routing, "_route", False),
    "dispatch_after_commit": (Dispatch, "_commit", True),
    "claim_before_send": (Sender, "_start", True),
    "send_before_settle": (send, "settle", True),
    "settle_after_commit": (send, "settle", False),
    "file_frozen": (FileDesk, "write", True),
    "file_written": (FileDesk, "mark_ready", True),
    "file_ready": (FileDesk, "rename", True),
    "file_renamed": (FileDesk, "settle", True),
}


def plant(seam: str, nth: int) -> None:
    """Replace the function at the seam by one that kills this process at its n-th passing."""
    where, name, before = SEAMS[seam]
    original: Callable[..., Any] = getattr(where, name)
    passed = 0

    def due() -> bool:
        nonlocal passed
        passed += 1
        return passed == nth

    if asyncio.iscoroutinefunction(original):

        async def planted(*args: Any, **more: Any) -> Any:
            now = due()
            if now and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = await original(*args, **more)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
    else:

        def planted(*args: Any, **more: Any) -> Any:
            if due():
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **more)

    setattr(where, name, planted)


async def feed(app: App, ids: dict[str, str], people: int, stop: asyncio.Event) -> None:
    """Accept everything (again after a kill: the same receipts), then wait until nothing is open."""
    for sender, drafts in facts(ids, people):
        for start in range(0, len(drafts), 20):
            items = [Incoming(draft) for draft in drafts[start : start + 20]]
            await app.acceptor.accept(ids[sender], "test", items)
    while not stop.is_set():
        async with transaction(app.database) as connection:
            left = await rows(
                connection,
                "select (select count(*) from event_way where routed_at is null or published_at is null)"
                " + (select count(*) from delivery where state in ('waiting', 'sending'))",
            )
        if left[0][0] == 0:
            stop.set()
        await asyncio.sleep(0.1)


async def main() -> None:
    app = App(Settings())
    app.__dict__["connectors"] = connectors()
    ids = json.loads(os.environ["FAULT_WORLD"])
    stop = asyncio.Event()
    if os.environ.get("FAULT_ROLE") == "gateway":
        await roles.gateway(app, stop)
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(roles.consumers(app, stop))
        group.create_task(roles.scheduler(app, stop))
        group.create_task(roles.delivery(app, stop))
        await feed(app, ids, int(os.environ["FAULT_PEOPLE"]), stop)


if __name__ == "__main__":
    if os.environ.get("FAULT_SEAM"):
        seam, _, nth = os.environ["FAULT_SEAM"].partition(":")
        plant(seam, int(nth))
    uvloop.run(main())
