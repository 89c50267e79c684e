"""One process of the hub under the bench: `log` (consumers at once, the scheduler with its relay at "go") or `delivery`.

It is `hub run` without the gateway and with the null connector; the roles themselves are those of production.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys

import uvloop

from hub import roles
from hub.app import App
from hub.dev.bench.world import make_app
from hub.settings import Settings


async def _run(app: App, role: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        if role == "delivery":
            await roles.delivery(app, stop)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(roles.consumers(app, stop))
            if await asyncio.to_thread(sys.stdin.readline) == "go\n":
                group.create_task(roles.scheduler(app, stop))
    finally:
        await app.close()


def main() -> None:
    """Entry point; the environment names home, database and broker."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    uvloop.run(_run(make_app(Settings()), sys.argv[1]))


if __name__ == "__main__":
    main()
