"""From an event to the message that leaves: open what the view needs and nothing else, project, translate, hash, seal.

No database and no network: the claim hands over what it read. `translate` may raise: that poisons its item alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import zstandard

from hub.log.codec import Codec, project
from hub.people.keys import DataKeys, MasterKey
from hub.rights.facts import Facts
from hub.rights.told import echo_hash
from hub.rights.view import View
from hub.sdk.manifest import Connector
from hub.sdk.outbound import EventView, Message, Nothing, Recipient

_compress = zstandard.ZstdCompressor(level=1).compress
_decompress = zstandard.ZstdDecompressor().decompress


@dataclass
class SealedEvent:
    """An event's row as the claim read it. Decoded once for all partners of a claim; blocks opened once when needed."""

    no: int
    id: UUID
    record: str
    version: int
    territory: str
    person: UUID
    body: bytes
    occurred_at: datetime
    facts: Mapping[str, Any]
    _clear: dict[str, Any] | None = None
    _opened: dict[str, bytes | None] = field(default_factory=dict)
    _facts: dict[Any, Facts] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """Its id as text."""
        return str(self.id)

    def facts_now(self, restricted: bool, objections: tuple[str, ...], erasing: bool) -> Facts:
        """What accept stored for routing, with the person's flags of this moment."""
        flags = (restricted, objections, erasing)
        if flags not in self._facts:
            self._facts[flags] = replace(
                Facts.from_json(self.facts), restricted=restricted, objections=objections, erasing=erasing
            )
        return self._facts[flags]

    def clear(self, codec: Codec) -> dict[str, Any]:
        """The clear body; sealed blocks stay bytes."""
        if self._clear is None:
            self._clear = codec.decode(self.body).value
        return self._clear

    def block(self, name: str, codec: Codec, keys: DataKeys) -> bytes | None:
        """The plain bytes of one sealed block, or None when the event has none."""
        if name not in self._opened:
            sealed = self.clear(codec).get(name)
            self._opened[name] = (
                None if sealed is None else keys.open(self.person, sealed, f"{self.id}:{name}")
            )
        return self._opened[name]


def event_view(event: SealedEvent, view: View, codec: Codec, keys: DataKeys) -> EventView:
    """Only the view's fields; a view that names no field of a block never opens it."""
    fields = project(event.clear(codec), view.clear)
    for name, wanted in (("person", view.person), ("sensitive", view.sensitive)):
        if wanted:
            plain = event.block(name, codec, keys)
            if plain is not None:
                fields[name] = codec.decode_block(event.record, name, plain, wanted, event.version)
    return EventView(event.record, event.text, event.no, event.occurred_at, event.territory, fields)


class Composed(NamedTuple):
    """A message with its stored form and hash. `hash` is keyed, so that the ledger holds no guessable digest."""

    message: Message
    hash: bytes
    sealed: bytes
    fields: frozenset[str]
    echo: bytes | None


class Item(NamedTuple):
    """What a message is composed from. `delivery` is the place that its stored form is sealed for."""

    event: SealedEvent
    view: View
    recipient: Recipient
    connector: Connector
    delivery: int


def compose_all(
    items: Sequence[Item], master: MasterKey, codec: Codec, keys: DataKeys
) -> list[Composed | Nothing]:
    """Translate and seal under each event's person's key, AAD = the delivery. Raises what a `translate` raises."""
    for item in items:
        item.event.clear(codec)
    seen = [event_view(event, view, codec, keys) for event, view, *_ in items]
    messages = [
        item.connector.outbound.translate(fields, item.recipient)
        for item, fields in zip(items, seen, strict=True)
    ]
    encoded = [b"" if isinstance(message, Nothing) else message.encode() for message in messages]
    hashes = [master.message_hash(data) for data in encoded]
    packed = [_compress(data) for data in encoded]
    sealed = [
        keys.seal(item.event.person, data, f"message:{item.delivery}")
        for item, data in zip(items, packed, strict=True)
    ]
    return [
        message
        if isinstance(message, Nothing)
        else Composed(message, digest, data, _fields(item), _echo(item, fields, master))
        for item, message, fields, digest, data in zip(items, messages, seen, hashes, sealed, strict=True)
    ]


def _fields(item: Item) -> frozenset[str]:
    released = item.recipient.released
    return item.view.fields | {f"released.{kind}" for kind in released} if released else item.view.fields


def _echo(item: Item, seen: EventView, master: MasterKey) -> bytes | None:
    """The hash under which the partner's own report of this fact will be recognised; None when it declares none."""
    outbound = item.connector.manifest.outbound
    declared = outbound.records.get(item.event.record) if outbound else None
    if declared is None or not declared.echo:
        return None
    return echo_hash(master, item.recipient.partner, seen.fields, declared.echo)


def stored(sealed: bytes, person: UUID, delivery: int, keys: DataKeys) -> Message:
    """The message as it was sent, byte for byte."""
    return Message.decode(_decompress(keys.open(person, sealed, f"message:{delivery}")))
