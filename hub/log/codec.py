"""Events to bytes and back: Confluent framing (0, four bytes of schema id) around Avro, sealed blocks as bytes.

Sealing itself is hub/people/keys.py's: here a block is only bytes. The clear body is decoded once and projected
(`project`); a block is decoded with a reader schema that holds nothing but the view's fields (`decode_block`), because
what is not decoded cannot leak. At the doors, where strangers write, `bounded_decode` is used instead of `decode`.
"""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from hub.log.limits import MAX_BYTES, MAX_NODES, check_schema, count_nodes
from hub.log.project import project as project
from hub.log.project import restrict
from hub.log.registry import Registry, UnknownSchema, current
from hub.log.schema import RecordSchema
from hub.log.writer import Invalid, Write, compile_writer

HEADER = struct.Struct(">bI")


class Undecodable(Exception):
    """Bytes that will never decode: poison. Kept as they are, never tried again. The text holds nothing of them.
    (`RegistryUnavailable` of hub.log.registry is the other failure: try again. Never both in one except clause.)"""


class Decoded(NamedTuple):
    """An event's clear body; sealed blocks in `value` are bytes. Instants are aware UTC, dates `date`, ids `UUID`."""

    record: str
    version: int
    value: dict[str, Any]


class Compiled(NamedTuple):
    """What reads and writes one schema, made once."""

    parsed: Any
    write: Write


def compile_schema(definition: Any) -> Compiled:
    """Prepare an inlined schema. It is checked first: with a recursive one a message could kill the process. Raises
    BadSchema."""
    check_schema(definition)
    return Compiled(parse_schema(definition), compile_writer(definition))


class Codec:
    """Encodes and decodes by one registry; everything that can be prepared is cached for ever, per schema."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._by_id: dict[int, tuple[RecordSchema, Compiled]] = {}
        self._by_record: dict[str, tuple[bytes, Write]] = {}
        self._blocks: dict[tuple[str, int, str], Compiled] = {}
        self._readers: dict[tuple[str, int, str, frozenset[str]], Any] = {}

    def encode(
        self, record: str, clear: dict[str, Any], person: bytes, sensitive: bytes | None = None
    ) -> bytes:
        """Frame one event of the newest version of `record`. `clear` holds the clear fields, missing ones take their
        default. Raises Invalid (field, rule) and UnknownSchema. The same values give the same bytes."""
        if "person" in clear or "sensitive" in clear:
            raise Invalid("is a sealed block: it is given apart, never with the clear fields", "person")
        frame, write = self._by_record.get(record) or self._record(record)
        value = {**clear, "person": person}
        if sensitive is not None:
            value["sensitive"] = sensitive
        out = bytearray(frame)
        write(value, out)
        return bytes(out)

    def encode_block(self, record: str, block: str, value: dict[str, Any]) -> bytes:
        """Avro bytes of a block ("person" or "sensitive"), to be sealed. Raises Invalid and UnknownSchema."""
        out = bytearray()
        try:
            self._block(self.registry.get(record), block).write(value, out)
        except Invalid as error:
            raise error.inside(block) from None
        return bytes(out)

    def decode(self, framed: bytes) -> Decoded:
        """Read one event that the hub itself wrote. Raises Undecodable and RegistryUnavailable."""
        schema, made = self._framed(framed)
        return Decoded(schema.record, schema.version, _read(made.parsed, framed, HEADER.size))

    def bounded_decode(self, framed: bytes) -> Decoded:
        """Read one event that somebody else wrote, see `bounded`. Raises Undecodable and RegistryUnavailable."""
        schema, made = self._framed(framed)
        return Decoded(schema.record, schema.version, bounded(made, framed, HEADER.size))

    def decode_block(
        self,
        record: str,
        block: str,
        data: bytes,
        fields: frozenset[str] | None = None,
        version: int | None = None,
    ) -> dict[str, Any]:
        """Read an opened block. `fields` are dotted names inside the block (``address.postal_code``); only they are
        decoded, None = all, names that the block does not have are left out. `version` is the event's, the newest by
        default. Raises Undecodable and UnknownSchema."""
        schema = self.registry.get(record, version)
        parsed = self._block(schema, block).parsed
        if fields is None:
            return _read(parsed, data, 0)
        key = (record, schema.version, block, fields)
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = parse_schema(restrict(schema.blocks[block], fields))
        return _read(parsed, data, 0, reader)

    def _framed(self, framed: bytes) -> tuple[RecordSchema, Compiled]:
        if len(framed) < HEADER.size or framed[0] != 0:
            raise Undecodable("not framed: it must begin with 0 and four bytes of schema id")
        schema_id = HEADER.unpack_from(framed)[1]
        made = self._by_id.get(schema_id)
        if made is None:
            try:
                schema = self.registry.schema_for(schema_id)
            except UnknownSchema as error:
                raise Undecodable(str(error)) from None
            made = self._by_id[schema_id] = (schema, compile_schema(schema.definition))
        return made

    def _record(self, record: str) -> tuple[bytes, Write]:
        schema = self.registry.get(record)
        made = (HEADER.pack(0, schema.id), compile_schema(schema.definition).write)
        self._by_record[record] = made
        return made

    def _block(self, schema: RecordSchema, block: str) -> Compiled:
        key = (schema.record, schema.version, block)
        made = self._blocks.get(key)
        if made is None:
            if block not in schema.blocks:
                raise UnknownSchema(f"{schema.record} has no sealed block {block}")
            made = self._blocks[key] = compile_schema(schema.blocks[block])
        return made


def _read(parsed: Any, data: bytes, start: int, reader: Any = None) -> Any:
    """One datum from `start` to the very end. Raises Undecodable."""
    source = BytesIO(data)
    source.seek(start)
    try:
        value = schemaless_reader(source, parsed, reader)
    except (
        Exception
    ) as error:  # fastavro raises many kinds on hostile bytes; none of them says more than its name
        raise Undecodable(f"not a datum of its schema ({type(error).__name__})") from None
    if source.tell() != len(data):
        raise Undecodable(f"{len(data) - source.tell()} bytes after the end")
    return value


def bounded(made: Compiled, data: bytes, start: int = 0) -> Any:
    """One datum from `start`, as the doors take it: at most MAX_BYTES and MAX_NODES, all bytes consumed, a value that a
    producer may set, and writing it again gives the same bytes: no over-long numbers, negative indexes or other
    spellings of one value, whose hashes would differ. Raises Undecodable."""
    if len(data) > MAX_BYTES:
        raise Undecodable(f"{len(data)} bytes; at most {MAX_BYTES} are read")
    value = _read(made.parsed, data, start)
    if count_nodes(value) > MAX_NODES:
        raise Undecodable(f"more than {MAX_NODES} values")
    again = bytearray(data[:start])
    try:
        made.write(value, again)
    except Invalid as error:
        raise Undecodable(str(error)) from None
    if again != data:
        raise Undecodable("written again it gives other bytes: not the one spelling of its values")
    return value


# ------------------------------------------------------------------ the codec of this process
@cache
def codec() -> Codec:
    """The codec over `hub.log.registry.current()`."""
    return Codec(current())


def encode(record: str, clear: dict[str, Any], person: bytes, sensitive: bytes | None = None) -> bytes:
    """See Codec.encode."""
    return codec().encode(record, clear, person, sensitive)


def encode_block(record: str, block: str, value: dict[str, Any]) -> bytes:
    """See Codec.encode_block."""
    return codec().encode_block(record, block, value)


def decode(framed: bytes) -> Decoded:
    """See Codec.decode."""
    return codec().decode(framed)


def bounded_decode(framed: bytes) -> Decoded:
    """See Codec.bounded_decode."""
    return codec().bounded_decode(framed)


def decode_block(
    record: str, block: str, data: bytes, fields: frozenset[str] | None = None, version: int | None = None
) -> dict[str, Any]:
    """See Codec.decode_block."""
    return codec().decode_block(record, block, data, fields, version)
