"""Outbound port: `translate(view, recipient) → Message | Nothing` is pure and deterministic, `send` is the only side
effect, `look_up` asks the partner what became of a message (protocol.md §4, Ports).

A connector's ``outbound.py`` has `translate` and, by the manifest's transport, `send` and `look_up` (http) or
`render` (file: many messages into one file's bytes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

import msgspec

from hub.sdk.outcome import Found, Kind, Learned, Lookup, Outcome
from hub.sdk.transports import HttpTransport

__all__ = [
    "Attempt",
    "EventView",
    "FileOutbound",
    "Found",
    "Kind",
    "Learned",
    "Lookup",
    "Message",
    "Nothing",
    "Outbound",
    "Outcome",
    "Recipient",
]


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

    def get(self, path: str) -> Any:
        """The value at a dotted path ("person.birth_name"), None where the view, the event or a null ends it."""
        value: Any = self.fields
        for name in path.split("."):
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return value

    def text(self, path: str) -> str | None:
        """The same as text for a message: dates and times in ISO form, ids and codes as they are; None stays None."""
        value = self.get(path)
        return value.isoformat() if isinstance(value, date) else None if value is None else str(value)


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
