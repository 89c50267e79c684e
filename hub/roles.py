"""The roles of a running hub: all in one process, the sending one as a child that is restarted when it dies; or one alone."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress

import uvicorn
import uvloop
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from consumers.dispatch import GROUP, Dispatch
from hub.app import App
from hub.delivery.guard import KernelGuard
from hub.delivery.routing import route_from_sql
from hub.intake.inbound import Inbox
from hub.log import topics
from hub.log.broker import broker
from hub.settings import Settings
from hub.store.database import listen

log = logging.getLogger("hub.run")

ROLES = ("gateway", "consumers", "delivery", "scheduler")


def main(settings: Settings, role: str | None) -> None:
    """Event loop and garbage collector as measured best, then the role."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    uvloop.run(_run(App(settings), role))


async def _run(app: App, role: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if role in (None, "scheduler"):
        await app.prepare()
        await ensure_topics(app)
    jobs = {"gateway": gateway, "consumers": consumers, "scheduler": scheduler, "delivery": delivery}
    wanted = [jobs[role]] if role else [consumers, scheduler, gateway, delivery_child]
    try:
        async with asyncio.TaskGroup() as group:
            for job in wanted:
                group.create_task(job(app, stop), name=job.__name__)
    finally:
        await app.close()


async def ensure_topics(app: App) -> None:
    """Create the hub's topics where they are missing; a broker that does not answer yet is waited for by the relay."""
    try:
        await asyncio.to_thread(topics.ensure, app.settings.kafka, app.topics)
    except KafkaException as error:
        log.warning("topics not checked, the broker does not answer: %s", error.args[0].name())


async def consumers(app: App, stop: asyncio.Event) -> None:
    """Every reader of the topics."""
    made = broker(app.settings.kafka, "hub-consumers")
    group = app.settings.topic_prefix + GROUP
    Dispatch(app.database, app.desk, made, sorted(app.topics), group, f"{group}.{app.settings.instance}")
    await _until_up(made.start, stop)
    await stop.wait()
    await made.stop()


async def scheduler(app: App, stop: asyncio.Event) -> None:
    """Relay, the net under dispatch, inbound folders and polls."""
    made = broker(app.settings.kafka, "hub-relay")
    relay = app.relay(made)
    inbox = Inbox(app.database, app.desk, app.acceptor)

    async def relaying() -> None:
        await _until_up(made.start, stop)
        await relay.run()

    async with asyncio.TaskGroup() as group:
        group.create_task(relaying())
        group.create_task(_hints(app, "hub_relay", relay.woken.set, stop))
        group.create_task(_every(10.0, lambda: route_from_sql(app.database, app.desk, 60.0), stop))
        group.create_task(_every(app.settings.inbound_every, inbox.step, stop))
        await stop.wait()
        relay.stop()
    await made.stop()


async def delivery(app: App, stop: asyncio.Event) -> None:
    """The sending role. It ends with its parent, so that a killed hub leaves no sender behind."""
    guard = KernelGuard()
    sender = app.sender(guard)
    parent = os.getppid()

    async def watch() -> None:
        while not stop.is_set() and os.getppid() == parent:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stop.wait()
        stop.set()
        sender.stop()

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        group.create_task(_hints(app, "hub_due", sender.woken.set, stop))
        await sender.run()
        stop.set()


async def delivery_child(app: App, stop: asyncio.Event) -> None:
    """The sending role as a process of its own: an overdue send kills it, and here it is started again."""
    while not stop.is_set():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub", "run", "delivery", env=child_environment(app)
        )
        ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            with suppress(ProcessLookupError):
                child.terminate()
        code = await ended
        stopped.cancel()
        if not stop.is_set():
            log.warning("the sending process ended with %s and is started again", code)
            await asyncio.sleep(0.2)


def child_environment(app: App) -> dict[str, str]:
    """The parent's environment with the addresses of the parts that it found."""
    return os.environ | {
        "HUB_HOME": str(app.settings.home),
        "HUB_DATABASE_URL": app.settings.database_url or "",
        "HUB_KAFKA": app.settings.kafka or "",
        "HUB_TOPIC_PREFIX": app.settings.topic_prefix,
    }


async def gateway(app: App, stop: asyncio.Event) -> None:
    """The ASGI app on loopback."""
    from hub.gateway import make_gateway

    config = uvicorn.Config(
        make_gateway(app),
        host=app.settings.api_host,
        port=app.settings.api_port,
        log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # the signals are handled once, for all roles
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        (app.settings.home / "gateway.url").write_text(
            f"http://{app.settings.api_host}:{port}\n", encoding="utf-8"
        )
        log.info("gateway at http://%s:%s", app.settings.api_host, port)
    await stop.wait()
    server.should_exit = True
    await serving


async def _until_up(start: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Start what needs the broker as soon as it answers."""
    while not stop.is_set():
        try:
            await start()
            return
        except (KafkaError, OSError) as error:
            log.warning("the broker does not answer yet: %s", type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await stop.wait()


async def _hints(app: App, channel: str, wake: Callable[[], None], stop: asyncio.Event) -> None:
    """Keep a LISTEN connection; without it the roles still look by themselves."""
    while not stop.is_set():
        try:
            connection = await listen(app.settings.database_url, channel, wake)
        except OSError:
            connection = None
        while connection is not None and not connection.is_closed() and not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await stop.wait()
        if connection is not None and not connection.is_closed():
            await connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await stop.wait()


async def _every(seconds: float, job: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Run a job again and again; what it meets is logged by its kind and tried again."""
    while not stop.is_set():
        try:
            await job()
        except Exception as error:
            log.warning(
                "%s failed and will be tried again: %s",
                getattr(job, "__qualname__", "job"),
                type(error).__name__,
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()
