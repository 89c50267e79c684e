"""The base of twins: honest, stateful fakes of partners' systems for the demo, the conformance kit, tests and docs.

A twin's state is the fold of its own append-only log of effects, so it remembers what it applied, in which order and
under which idempotency key, whatever is killed. It refuses what the real partner refuses, and can be told to fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

FaultKind = Literal["status", "status_after", "drop", "drop_after", "hang", "hang_after", "slow", "trickle"]


@dataclass(slots=True)
class TwinFault:
    """How the next `times` matching requests go wrong (-1 = until cleared), each with probability `chance`.

    status = answer `status` and apply nothing, status_after = apply first; drop / drop_after = cut the connection before
    or after applying; hang / hang_after = hold it `seconds` and cut it; slow = answer `seconds` late; trickle = apply,
    then one byte of the answer every `seconds`. `path` is a part of the request's path, `method` the HTTP method;
    `retry_after` the header's value (seconds or HTTP date), `code` a code in the JSON answer.
    """

    kind: FaultKind
    times: int = 1
    status: int = 503
    retry_after: str | None = None
    code: str | None = None
    seconds: float = 1.0
    path: str = ""
    method: str | None = None
    chance: float = 1.0

    def matches(self, method: str, path: str) -> bool:
        return self.times != 0 and self.path in path and self.method in (None, method)


class EffectLog:
    """Append-only JSON lines: one effect each, numbered from 1. A torn last line (the twin itself was killed) was never
    acknowledged to anybody and is cut off."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file, len(whole))
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def append(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Number and write one effect; it is with the operating system when this returns."""
        entry = {"n": len(self.entries) + 1, **entry}
        os.write(self._file, json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self.entries.append(entry)
        return entry

    def close(self) -> None:
        os.close(self._file)


class Twin:
    """Subclasses give `name`, `honest` (what it is and is not), `fold`, `routes`, and `tick` with `every` (seconds) for
    what they do by themselves; `code_field` is where the partner writes its codes. All of it runs in one event loop; no lock is needed."""

    name: ClassVar[str]
    honest: ClassVar[str]
    every: ClassVar[float | None] = None
    code_field: ClassVar[str] = "code"

    def __init__(
        self,
        state: Path,
        *,
        seed: int = 0,
        faults: Sequence[TwinFault] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.seed, self.clock, self.faults = seed, clock, list(faults)
        self._chance = random.Random(f"{seed}:faults")
        self.log = EffectLog(state / f"{self.name}.jsonl")
        self.reset()
        for effect in self.log.entries:
            self.fold(effect)

    def reset(self) -> None:
        """Set the state to that before any effect."""

    def fold(self, effect: dict[str, Any]) -> None:
        """Change the state by one effect; reads nothing else than state and effect."""
        raise NotImplementedError

    def apply(self, effect: str, **data: Any) -> dict[str, Any]:
        """Log one effect and fold it."""
        entry = self.log.append(
            {"effect": effect, "at": self.clock().isoformat(timespec="milliseconds"), **data}
        )
        self.fold(entry)
        return entry

    def routes(self) -> list[Route]:
        """The partner's own API."""
        return []

    def tick(self) -> int:
        """What the partner does by itself; returns how much it did."""
        return 0

    @property
    def app(self) -> ASGIApp:
        """The partner's API, `/` and the switches under `/_twin/`."""
        own = Starlette(
            routes=[
                Route("/", self._about),
                Route("/_twin/effects", self._effects),
                Route("/_twin/faults", self._set_faults, methods=["GET", "POST", "DELETE"]),
                Route("/_twin/tick", self._tick, methods=["POST"]),
                *self.routes(),
            ]
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "")
            fault = (
                None if path == "/" or path.startswith("/_twin/") else self._next_fault(scope["method"], path)
            )
            await (
                own(scope, receive, send)
                if fault is None
                else _fail(fault, self.code_field, own, scope, receive, send)
            )

        return app

    def _next_fault(self, method: str, path: str) -> TwinFault | None:
        for fault in self.faults:
            if fault.matches(method, path) and self._chance.random() < fault.chance:
                fault.times -= fault.times > 0
                return fault
        return None

    async def _about(self, _: Request) -> Response:
        return JSONResponse({"twin": self.name, "what_it_is": self.honest, "effects": len(self.log.entries)})

    async def _effects(self, request: Request) -> Response:
        after = int(request.query_params.get("after", "0"))
        return JSONResponse(self.log.entries[after:])

    async def _set_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            wanted = await request.json()
            known = {f.name for f in fields(TwinFault)}
            if unknown := {key for fault in wanted for key in fault} - known:
                return JSONResponse({"unknown": sorted(unknown), "known": sorted(known)}, 422)
            self.faults += [TwinFault(**fault) for fault in wanted]
        left = [fault for fault in self.faults if fault.times]
        return JSONResponse([{f.name: getattr(fault, f.name) for f in fields(TwinFault)} for fault in left])

    async def _tick(self, _: Request) -> Response:
        return JSONResponse({"did": self.tick()})


async def _fail(
    fault: TwinFault, code_field: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Play one fault. What comes after "after" happens when the partner has applied the request."""
    if fault.kind.endswith("_after") or fault.kind == "trickle":
        answer = _Kept()
        await app(scope, receive, answer)
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        await app(scope, receive, send)
    elif fault.kind == "trickle":
        await send({**answer.start, "headers": [(b"content-type", b"application/json")]})
        for byte in answer.body:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(fault.seconds)
        await send({"type": "http.response.body", "body": b""})
    elif fault.kind.startswith("status"):
        headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
        await JSONResponse({code_field: fault.code}, fault.status, headers)(scope, receive, send)
    else:
        if fault.kind.startswith("hang"):
            await asyncio.sleep(fault.seconds)
        scope["state"]["transport"].abort()


@dataclass(slots=True)
class _Kept:
    """An ASGI `send` that keeps the answer instead of sending it."""

    start: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = dict(message)
        else:
            self.body += message.get("body", b"")


class _Protocol(H11Protocol):
    """Gives the application its connection, so that a fault can cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Running:
    """A twin served in a thread of this process, on loopback: for tests and the demo. `with Running(twin) as running:`"""

    def __init__(self, twin: Twin, port: int = 0) -> None:
        self.twin = twin
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = _url(self._socket)
        self._server = _server(twin)
        self._thread = threading.Thread(
            target=asyncio.run, args=(_serve(self._server, twin, self._socket),), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; open connections are cut. The log stays."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()
        self.twin.log.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def main(make: Callable[[argparse.Namespace], Twin], parser: argparse.ArgumentParser) -> None:
    """Serve one twin as a process of its own until it is ended; prints one JSON line with its URL when it is ready."""
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0: any free one")
    parser.add_argument("--state", type=Path, required=True, help="folder of its log of effects")
    parser.add_argument("--seed", type=int, default=0, help="what its decisions are drawn from")
    arguments = parser.parse_args()
    twin = make(arguments)
    listening = socket.create_server(("127.0.0.1", arguments.port))
    print(json.dumps({"twin": twin.name, "url": _url(listening), "pid": os.getpid()}), flush=True)
    try:
        asyncio.run(_serve(_server(twin), twin, listening))
    except KeyboardInterrupt:
        sys.exit(130)


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _server(twin: Twin) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            twin.app, http=_Protocol, ws="none", lifespan="off", log_level="error", access_log=False, proxy_headers=False,
            timeout_keep_alive=30,
        )
    )  # fmt: skip


async def _serve(server: uvicorn.Server, twin: Twin, listening: socket.socket) -> None:
    async def by_itself(every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                twin.tick()
            except Exception:  # a partner's system stays up with one bad file in its folder
                logging.getLogger(__name__).exception("twin %s: tick failed", twin.name)

    task = asyncio.create_task(by_itself(twin.every)) if twin.every else None
    try:
        await server.serve(sockets=[listening])
    finally:
        if task is not None:
            task.cancel()
