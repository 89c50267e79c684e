"""Events to bytes and back: Confluent framing (0, four bytes of schema id) around Avro, sealed blocks as bytes.

Sealing itself is hub/people/keys.py's: here a block is only bytes. The clear body is decoded once and projected
(`project`); a block is decoded with a reader schema that holds nothing but the view's fields (`decode_block`), because
what is not decoded cannot leak. At the doors, where strangers write, `bounded_decode` is used instead of `decode`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from io import BytesIO
from itertools import count
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from hub.log.limits import MAX_BYTES, MAX_NODES, check_schema, count_nodes
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


# ------------------------------------------------------------------ views: nothing outside the fields
Tree = dict[str, Any]


def tree(fields: frozenset[str]) -> Tree:
    """Dotted names as nested dicts; None means the whole field: {"address.postal_code"} → {"address": {"postal_code": None}}."""
    out: Tree = {}
    for name in sorted(fields):  # "address" comes before "address.commune" and wins
        at, parts = out, name.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
            if at is None:
                break
        else:
            if parts[-1] not in at:
                at[parts[-1]] = None
    return out


@lru_cache(maxsize=4096)
def _projector(fields: frozenset[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return _compile_projector(tree(fields))


def _compile_projector(nodes: Tree) -> Callable[[dict[str, Any]], dict[str, Any]]:
    whole = [name for name, below in nodes.items() if below is None]
    nested = [(name, _compile_projector(below)) for name, below in nodes.items() if below is not None]

    def project_one(value: dict[str, Any]) -> dict[str, Any]:
        out = {name: value[name] for name in whole if name in value}
        for name, inner in nested:
            if name in value:
                item = value[name]
                if isinstance(item, dict):
                    out[name] = inner(item)
                elif isinstance(item, list):
                    out[name] = [inner(each) for each in item if isinstance(each, dict)]
                elif item is None:
                    out[name] = None
        return out

    return project_one


def project(decoded: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """The part of a decoded body that `fields` (dotted names) name; what is not there is left out. A dotted name below
    a value that has no fields gives nothing."""
    return _projector(fields)(decoded)


def restrict(schema: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """The reader schema that holds only `fields` of a record schema (inlined); names it does not have are left out.

    Named types match by their unqualified name when a reader reads, so each one here gets a namespace of its own: one
    type may be cut in two ways at two places.
    """
    return _restrict(schema, tree(fields), _definitions(schema, {}), count(1))


def _restrict(schema: Any, nodes: Tree | None, named: dict[str, Any], numbers: Iterator[int]) -> Any:
    if isinstance(schema, list):
        return [_restrict(branch, nodes, named, numbers) for branch in schema]
    if isinstance(schema, str):
        return _restrict(named[schema], nodes, named, numbers) if schema in named else schema
    if schema["type"] == "array":
        return {**schema, "items": _restrict(schema["items"], nodes, named, numbers)}
    if schema["type"] not in ("record", "enum"):
        return schema
    out = {**schema, "namespace": f"view.n{next(numbers)}"}
    if schema["type"] == "record":
        out["fields"] = [
            {**field, "type": _restrict(field["type"], nodes and nodes[field["name"]], named, numbers)}
            for field in schema["fields"]
            if nodes is None or _keeps(field, nodes, named)
        ]
    return out


def _keeps(field: dict[str, Any], nodes: Tree, named: dict[str, Any]) -> bool:
    """Whether a field is named, or holds fields that are; a name below a plain value names nothing."""
    return field["name"] in nodes and (nodes[field["name"]] is None or _holds_fields(field["type"], named))


def _holds_fields(schema: Any, named: dict[str, Any]) -> bool:
    if isinstance(schema, list):
        return any(_holds_fields(branch, named) for branch in schema)
    if isinstance(schema, str):
        return schema in named and _holds_fields(named[schema], named)
    return schema["type"] == "record" or (schema["type"] == "array" and _holds_fields(schema["items"], named))


def _definitions(schema: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Named types of an inlined schema by full name."""
    for part in schema if isinstance(schema, list) else [schema]:
        if isinstance(part, dict):
            if part["type"] in ("record", "enum"):
                found[f"{part['namespace']}.{part['name']}"] = part
            for field in part.get("fields", ()):
                _definitions(field["type"], found)
            _definitions(part.get("items"), found)
    return found


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
