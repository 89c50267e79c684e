"""HTTP towards a partner: one total deadline over connect, send and body; a capped answer; no redirect, no proxy from the
environment, certificates checked. Faults are values, because the caller must say what each means for the message.

The socket options are what makes the deadline true for the kernel too: without them it goes on delivering a dead
process's bytes (protocol.md §4, *Send*).
"""

from __future__ import annotations

import asyncio
import copy
import ipaddress
import logging
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from hub.sdk.transports.answers import Fault, Reason, Reply, retry_after
from hub.sdk.transports.tokens import ClientCredentials, TokenCache

BODY_CAP = 64 * 1024
IDLE_SECONDS = 2.0
"""Idle connections are given up before partners close them (5 s is common): bytes written into a closing connection
would make the outcome unknown."""

# httpx writes every URL at INFO
logging.getLogger("httpx").setLevel(logging.WARNING)


def socket_options(deadline: float) -> list[tuple[int, int, int | bytes]]:
    """SO_LINGER(1, 0): closing drops what is unsent; TCP_USER_TIMEOUT (Linux): the kernel gives up with us; SO_SNDBUF:
    little can be under way. `deadline` in seconds."""
    options: list[tuple[int, int, int | bytes]] = [
        (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024),
    ]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(deadline * 1000))))
    return options


class HttpTransport:
    """Connections and tokens of one connector, shared by all its partners; made once per process and event loop.

    `deadline` (seconds) bounds a request that was not given less by `within`. Clear-text HTTP is for loopback only,
    unless `allow_http` (containers on a private network). `clock` reads the time of day for Retry-After dates.
    """

    def __init__(
        self,
        *,
        deadline: float = 30.0,
        connections: int = 8,
        allow_http: bool = False,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.clock = clock
        self._deadline, self._ends = deadline, float("inf")
        self._allow_http = allow_http
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                verify=tls or ssl.create_default_context(),
                limits=httpx.Limits(max_connections=connections, keepalive_expiry=IDLE_SECONDS),
                trust_env=False,
                socket_options=socket_options(deadline),
            ),
            timeout=None,
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "spie-hub"},
        )
        self._tokens = TokenCache(self._fetch_token)

    def within(self, seconds: float) -> HttpTransport:
        """The same connections with one deadline over everything asked through the result, counted from now."""
        bound = copy.copy(self)
        bound._ends = time.monotonic() + seconds
        return bound

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: ClientCredentials | None = None,
        cap: int = BODY_CAP,
    ) -> Reply | Fault:
        """One exchange, at most `cap` bytes of body read. With `auth`, a bearer token is fetched first; a 401 leads to
        one refresh and one repetition (an unauthorised request was not applied). Raises nothing for what a partner, a
        network or a clock may do; cancelling it closes the connection."""
        seconds = min(self._deadline, self._ends - time.monotonic())
        if seconds <= 0:
            return Fault("no_time_left", started=False)
        if not self._may_call(url):
            return Fault("bad_url", started=False)
        content = None if json is None else msgspec.json.encode(json, order="deterministic")
        sent = dict(headers or {})
        if content is not None:
            sent["content-type"] = "application/json"
        progress = _Progress()
        try:
            async with asyncio.timeout(seconds):
                if auth is None:
                    return await self._exchange(
                        progress, cap, method, url, content=content, data=form, params=params, headers=sent
                    )
                return await self._authorised(
                    auth, progress, cap, method, url, content=content, data=form, params=params, headers=sent
                )
        except TimeoutError:
            return progress.reply() or Fault(
                "deadline" if progress.started else "connect_timeout", progress.started
            )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _authorised(
        self, auth: ClientCredentials, progress: _Progress, cap: int, method: str, url: str, **sent: Any
    ) -> Reply | Fault:
        reply: Reply | Fault = Fault("token", started=False)
        for _ in range(2):
            token = await self._tokens.token(auth)
            if isinstance(token, Fault):
                return token
            sent["headers"] = {**sent["headers"], "authorization": f"Bearer {token}"}
            progress.reset()
            reply = await self._exchange(progress, cap, method, url, **sent)
            if isinstance(reply, Fault) or reply.status != 401:
                return reply
            self._tokens.forget(auth, token)
            progress.reset()
        return reply

    async def _fetch_token(self, credentials: ClientCredentials) -> Reply | Fault:
        if not self._may_call(credentials.token_url):
            return Fault("bad_url", started=False)
        reply = await self._exchange(
            _Progress(),
            BODY_CAP,
            "POST",
            credentials.token_url,
            data=credentials.form(),
            params=credentials.query(),
        )
        if isinstance(reply, Reply) and reply.status in (429, 503):
            return Fault(
                "token", started=False, after=retry_after(reply.headers.get("retry-after"), self.clock())
            )
        return reply

    async def _exchange(
        self, progress: _Progress, cap: int, method: str, url: str, **sent: Any
    ) -> Reply | Fault:
        try:
            request = self._client.build_request(method, url, extensions={"trace": progress.trace}, **sent)
            response = await self._client.send(request, stream=True)
            try:
                progress.status(response)
                async for chunk in response.aiter_raw():
                    progress.body += chunk
                    if len(progress.body) > cap:
                        del progress.body[cap:]
                        return Reply(response.status_code, progress.headers, bytes(progress.body), cut=True)
            finally:
                await response.aclose()
            return Reply(response.status_code, progress.headers, bytes(progress.body))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            return Fault("bad_url", started=False)
        except httpx.HTTPError as error:
            if progress.started:
                return progress.reply() or Fault("broken", started=True)
            return Fault(_connect_reason(error), started=False)

    def _may_call(self, url: str) -> bool:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            return False
        if parsed.scheme == "https":
            return bool(parsed.host)
        return parsed.scheme == "http" and (self._allow_http or _loopback(parsed.host))


class _Progress:
    """How far one exchange came; read when it is cut short."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.started = False
        self.code: int | None = None
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self.started = True

    def status(self, response: httpx.Response) -> None:
        self.code = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    def reply(self) -> Reply | None:
        return None if self.code is None else Reply(self.code, self.headers, bytes(self.body), cut=True)


def _connect_reason(error: BaseException) -> Reason:
    """Look through causes and groups: anyio and httpcore wrap the operating system's error."""
    seen: list[BaseException | None] = [error]
    while seen:
        link = seen.pop()
        if link is None:
            continue
        if isinstance(link, ConnectionRefusedError):
            return "refused"
        if isinstance(link, socket.gaierror):
            return "dns"
        if isinstance(link, ssl.SSLError):
            return "tls"
        seen += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            seen += link.exceptions
    return "connect"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
