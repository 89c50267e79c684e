"""CloudEvents 1.0 headers of a Kafka record, binary mode: prefix ``ce_``, text as UTF-8, no personal data.

Only opaque ids are in clear here: keys and headers of a topic are never encrypted and survive everything.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

CONTENT_TYPE = "application/avro"
NAMESPACE = uuid5(NAMESPACE_URL, "urn:spie:event")
MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class EventHeaders:
    """What a record says about itself. `id` is UUIDv5 of source and source event id, `subject` the person,
    `sequence` is ``event.no`` (global, increasing per person), `time` aware UTC, `mac` hex of `mac()`."""

    id: UUID
    source: str
    type: str
    time: datetime
    subject: UUID
    dataschema: str
    territory: str
    sequence: int
    schemafingerprint: str
    mac: str
    causationid: UUID | None = None
    correlationid: UUID | None = None
    addressee: str | None = None
    traceparent: str | None = None


def event_id(source: str, source_event_id: str) -> UUID:
    """The id of an event: the same source and source event id give the same id, everywhere and for ever."""
    return uuid5(NAMESPACE, f"{source}\n{source_event_id}")


def event_source(territory: str, partner: str, flow: str) -> str:
    """CloudEvents source. All three are opaque ids: a sender's name alone can tell about health. Raises ValueError."""
    for part in (territory, partner, flow):
        if not part or ":" in part or not part.isascii() or not part.isprintable() or part != part.strip():
            raise ValueError(
                "territory, partner id and flow must be ASCII ids without colon or blanks at the ends"
            )
    return f"urn:spie:{territory}:{partner}:{flow}"


def mac(key: bytes, event_id: UUID, body_hash: bytes) -> str:
    """Marks a record as the hub's own: HMAC-SHA256 (hex) over the event id's 16 bytes and the body's SHA-256."""
    return hmac.new(key, event_id.bytes + body_hash, hashlib.sha256).hexdigest()


def is_own(key: bytes, headers: EventHeaders, body: bytes) -> bool:
    """Whether the hub itself wrote this record: its MAC fits id and body."""
    return hmac.compare_digest(mac(key, headers.id, hashlib.sha256(body).digest()), headers.mac)


def write(headers: EventHeaders) -> list[tuple[str, bytes]]:
    """As Kafka headers, in a fixed order; what is None is left out."""
    out = [
        ("ce_specversion", "1.0"),
        ("ce_id", str(headers.id)),
        ("ce_source", headers.source),
        ("ce_type", headers.type),
        ("ce_time", headers.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")),
        ("ce_subject", str(headers.subject)),
        ("ce_dataschema", headers.dataschema),
        ("ce_territory", headers.territory),
        ("ce_sequence", str(headers.sequence)),
        ("ce_schemafingerprint", headers.schemafingerprint),
        ("ce_hubmac", headers.mac),
        ("content-type", CONTENT_TYPE),
    ]
    if headers.causationid is not None:
        out.append(("ce_causationid", str(headers.causationid)))
    if headers.correlationid is not None:
        out.append(("ce_correlationid", str(headers.correlationid)))
    if headers.addressee is not None:
        out.append(("ce_addressee", headers.addressee))
    if headers.traceparent is not None:
        out.append(("traceparent", headers.traceparent))
    return [(name, value.encode()) for name, value in out]


def read(headers: Iterable[tuple[str, bytes]] | None) -> EventHeaders | None:
    """The headers of a record, or None when they are not complete, well-formed headers of a CloudEvent of the hub.
    Never raises: anybody may have written them. A name that comes twice is not well-formed."""
    try:
        pairs = list(headers or ())
        found = {name: value.decode() for name, value in pairs}
        if (
            len(found) != len(pairs)
            or found["ce_specversion"] != "1.0"
            or found["content-type"] != CONTENT_TYPE
        ):
            return None
        if not all(value.isprintable() for value in found.values()):
            return None
        time = datetime.fromisoformat(found["ce_time"])
        if time.tzinfo is None:
            return None
        return EventHeaders(
            id=_uuid(found["ce_id"]),
            source=found["ce_source"],
            type=found["ce_type"],
            time=time.astimezone(UTC),
            subject=_uuid(found["ce_subject"]),
            dataschema=found["ce_dataschema"],
            territory=found["ce_territory"],
            sequence=_sequence(found["ce_sequence"]),
            schemafingerprint=found["ce_schemafingerprint"],
            mac=_hex(found["ce_hubmac"]),
            causationid=_uuid(found["ce_causationid"]) if "ce_causationid" in found else None,
            correlationid=_uuid(found["ce_correlationid"]) if "ce_correlationid" in found else None,
            addressee=found.get("ce_addressee"),
            traceparent=found.get("traceparent"),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def _uuid(text: str) -> UUID:
    """One spelling only, so that an id read is the id stored. Raises ValueError."""
    value = UUID(text)
    if str(value) != text:
        raise ValueError("not the usual spelling of a UUID")
    return value


def _sequence(text: str) -> int:
    """A number as PostgreSQL's bigint holds it. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= MAX_SEQUENCE):
        raise ValueError("not a sequence number")
    return int(text)


def _hex(text: str) -> str:
    """64 lower-case hex digits. Raises ValueError."""
    if len(text) != 64 or bytes.fromhex(text).hex() != text:
        raise ValueError("not a MAC")
    return text
