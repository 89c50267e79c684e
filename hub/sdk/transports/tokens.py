"""OAuth2 client credentials: one token per set of credentials, at most one refresh in flight, renewed at 80 % of its life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hub.sdk.transports.answers import Fault, Reply

DEFAULT_LIFE = 60.0
REFUSED_FOR = 1.0


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """RFC 6749 §4.4. `realm` goes into the query (France Travail), `scopes` are sent separated by spaces."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    realm: str | None = None

    def form(self) -> dict[str, str]:
        """The token request's body."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        return form | ({"scope": " ".join(self.scopes)} if self.scopes else {})

    def query(self) -> dict[str, str]:
        """The token request's query."""
        return {"realm": self.realm} if self.realm else {}


Fetch = Callable[[ClientCredentials], Awaitable[Reply | Fault]]


@dataclass(slots=True)
class _Held:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: str | None = None
    until: float = 0.0
    fault: Fault | None = None


class TokenCache:
    """Tokens by credentials, in memory only. A failed refresh is remembered for a second: those who waited behind it
    fail with it instead of asking one after the other."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._held: dict[ClientCredentials, _Held] = {}

    async def token(self, credentials: ClientCredentials) -> str | Fault:
        """A valid bearer token, or why there is none (never `started`: the request itself has not begun)."""
        held = self._held.setdefault(credentials, _Held())
        async with held.lock:
            if self._clock() < held.until:
                return held.fault or held.token or Fault("token", started=False)
            reply = await self._fetch(credentials)
            self._keep(held, reply)
            return held.fault or held.token or Fault("token", started=False)

    def forget(self, credentials: ClientCredentials, token: str) -> None:
        """The partner refused this token (401). Forgets it unless somebody has renewed it meanwhile."""
        held = self._held.get(credentials)
        if held is not None and held.token == token:
            held.token, held.until = None, 0.0

    def _keep(self, held: _Held, reply: Reply | Fault) -> None:
        body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
        token = body.get("access_token") if isinstance(body, dict) else None
        if isinstance(token, str) and token:
            life = body.get("expires_in")
            life = float(life) if isinstance(life, int | float) and life > 0 else DEFAULT_LIFE
            held.token, held.fault, held.until = token, None, self._clock() + 0.8 * life
        else:
            after = reply.after if isinstance(reply, Fault) else None
            held.token, held.fault = None, Fault("token", started=False, after=after)
            held.until = self._clock() + REFUSED_FOR
