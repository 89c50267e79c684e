"""Outbound port: `translate(view, recipient) → Message | Nothing` is pure and deterministic, `send` is the only side
effect, `look_up` asks the partner what became of a message (protocol.md §4, Ports).

A connector's ``outbound.py`` has `translate` and, by the manifest's transport, `send` and `look_up` (http) or
`render` (file: many messages into one file's bytes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from hub.sdk.transports import HttpTransport


@dataclass(frozen=True, slots=True)
class EventView:
    """One event as this partner may see it: nothing outside the view's fields is in `fields` (nested by dots:
    ``fields["person"]["birth_name"]``)."""

    record: str
    event_id: str
    sequence: int
    occurred_at: datetime
    territory: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recipient:
    """What belongs to the recipient, joined at each attempt from the identity index.

    `reference` is the outward id of the person at this partner (HMAC per partner); `their_id` the partner's own id
    of the person when known; `released` the identifiers that the manifest declares with purpose and legal basis.
    """

    partner: str
    reference: str
    their_id: str | None = None
    released: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """What leaves for a partner: JSON-like `body`, wire form is the transport's business. `action` names what it asks."""

    action: str
    body: Mapping[str, Any]

    def encode(self) -> bytes:
        """Canonical bytes: stored, hashed and compared; equal messages give equal bytes."""
        return msgspec.json.encode({"action": self.action, "body": self.body}, order="deterministic")

    @staticmethod
    def decode(data: bytes) -> Message:
        """The message that `encode` wrote."""
        value = msgspec.json.decode(data)
        return Message(value["action"], value["body"])


@dataclass(frozen=True, slots=True)
class Nothing:
    """This recipient has nothing to learn from this event: withheld(nothing_to_say)."""


@dataclass(frozen=True, slots=True)
class Learned:
    """An identifier that the partner gave in its answer; settle turns it into IdentityLinked."""

    kind: str
    value: str


Kind = Literal[
    "delivered",
    "refused",
    "retry",
    "unavailable",
    "unknown_person",
    "several_matches",
    "not_started",
    "unknown",
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `after` is in seconds (Retry-After), `code` the partner's code, never its prose.

    retry = try this item again (definitely not applied); unavailable = the same, and it counts for the partner's
    pause, not for the item; unknown_person = wait for identity (several_matches = a human); not_started = no byte was
    written; unknown = it may have been applied.
    """

    kind: Kind
    code: str | None = None
    after: float | None = None
    ack: str | None = None
    learned: tuple[Learned, ...] = ()


Found = Literal["applied", "not_there", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the partner says became of a message that may have reached it."""

    found: Found
    ack: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Attempt:
    """What `send` and `look_up` get besides the message. `secrets` never enter logs or messages.

    `idempotency_key` is stable over retries of one delivery: event id, then event id + replay id.
    """

    idempotency_key: str
    number: int
    recipient: Recipient
    http: HttpTransport
    secrets: Mapping[str, str] = field(default_factory=dict)


class Outbound(Protocol):
    """The module ``connectors/<name>/outbound.py``."""

    def translate(self, view: EventView, recipient: Recipient) -> Message | Nothing:
        """Pure and deterministic; raises only on a bug (human(poison) for this item alone)."""

    async def send(self, message: Message, attempt: Attempt) -> Outcome:
        """The only side effect. Never raises for what the partner may do."""

    async def look_up(self, message: Message, attempt: Attempt) -> Lookup:
        """Only for partners whose manifest says ``unknown_outcome = "look_up"``."""


class FileOutbound(Protocol):
    """The module ``connectors/<name>/outbound.py`` of a connector with ``transport = "file"``."""

    def translate(self, view: EventView, recipient: Recipient) -> Message | Nothing:
        """As above."""

    def render(self, messages: Sequence[Message], settings: Mapping[str, Any]) -> bytes:
        """Many messages, in order, as one file's bytes; deterministic."""
