"""Around every answer: headers that keep browsers honest, a count, and a net under failures.

A failure is answered and logged by its kind and place. Its text is not: a database error's text holds the values that were
being written.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.gateway.group import about_database
from hub.gateway.metrics import Requests
from hub.gateway.problems import Problem
from hub.store.database import NoRoom

log = logging.getLogger("hub.gateway")

#: No script at all, nothing from elsewhere, no framing; a cache must not keep what a key opened.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Edge:
    """ASGI middleware, outermost."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app, self.requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add(message)
                self.requests.answered(_route(scope), message["status"])
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s at %s:%s", type(error).__name__, place.name, place.lineno)
            if started:
                return
            await problem_of(error).response()(scope, receive, answer)


def problem_of(error: Exception) -> Problem:
    """What a sender is told when something failed that is not its event."""
    if isinstance(error, NoRoom):
        return Problem("no_room")
    return Problem("unavailable" if about_database(error) else "failed")


def _add(message: MutableMapping[str, Any]) -> None:
    present = {name for name, _ in message["headers"]}
    message["headers"] = [
        *message["headers"],
        *((name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in present),
    ]


def _route(scope: Scope) -> str:
    """The template of the matched route: an address itself holds ids."""
    return getattr(scope.get("route"), "path", "none")
