"""A partner in a process of its own: applies each idempotency key once, writes every effect down, can be asked.

`python -m tests.faults.keyed STATE` prints its address; STATE is a JSON-lines file of effects, in order. A partner named
``twice-…`` has no memory for keys: it applies whatever it gets, as one with a look-up only would.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def make(state: Path) -> Starlette:
    applied: dict[str, set[str]] = {}
    log = state.open("a", encoding="utf-8")

    async def apply(request: Request) -> Response:
        partner, key = request.path_params["partner"], request.headers["idempotency-key"]
        body = await request.json()
        known = applied.setdefault(partner, set())
        if key not in known or partner.startswith("twice-"):
            known.add(key)
            log.write(json.dumps({"partner": partner, "key": key, **body}) + "\n")
            log.flush()
        return JSONResponse({"ok": True})

    async def look(request: Request) -> Response:
        known = applied.get(request.path_params["partner"], set())
        return Response(status_code=200 if request.path_params["key"] in known else 404)

    return Starlette(
        routes=[
            Route("/{partner}/apply", apply, methods=["POST"]),
            Route("/{partner}/applied/{key}", look, methods=["GET"]),
        ]
    )


def main() -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(make(Path(sys.argv[1])), log_level="error", timeout_keep_alive=30)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
