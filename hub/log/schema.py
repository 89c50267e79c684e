"""One record's schema in its registered form: references inlined, sealed blocks inlined too (``spie.block``), so that
one text says all that is needed to read an event for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hub.log.limits import PRIMITIVES, BadSchema


@dataclass(frozen=True)
class Field:
    """One place of a record by its dotted name. `block` is "person" or "sensitive" when it is sealed."""

    name: str
    type: str
    doc: str
    tags: tuple[str, ...]
    nullable: bool
    block: str | None


@dataclass(frozen=True)
class RecordSchema:
    """One version of a record as registered. `definition` and each of `blocks` are inlined Avro JSON."""

    record: str
    version: int
    family: str
    definition: dict[str, Any] = field(repr=False, hash=False, compare=False)
    blocks: Mapping[str, dict[str, Any]] = field(repr=False, hash=False, compare=False)
    fingerprint: str = ""
    id: int = 0

    @property
    def full_name(self) -> str:
        """Avro full name, without version."""
        return f"fr.spie.{self.family}.{self.record}"

    @property
    def ce_type(self) -> str:
        """CloudEvents type."""
        return f"{self.full_name}.v{self.version}"

    @property
    def dataschema(self) -> str:
        """CloudEvents dataschema."""
        return f"urn:spie:schema:{self.ce_type}"

    @property
    def matter(self) -> tuple[str, ...]:
        """Clear fields that, with the record's name, make the matter; empty = every event is its own."""
        return tuple(self.definition.get("spie.matter", ()))

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Every place of the record by dotted name, in schema order; what is sealed as ``person.birth_name``."""
        return {place.name: place for place in _places(self.definition, "", None, {})}

    def matter_key(self, clear: Mapping[str, Any]) -> str | None:
        """The matter of one event, e.g. ``ContactChanged|PHONE``; a null field counts as a value. None = its own."""
        if not self.matter:
            return None
        return "|".join(
            [self.record, *("-" if clear.get(name) is None else str(clear[name]) for name in self.matter)]
        )


def inline(schema: Any, shared: Mapping[str, dict[str, Any]]) -> Any:
    """The registered form: every reference to a shared type is replaced by its definition at its first use, and every
    ``spie.block`` by the block's own inlined schema. Raises BadSchema for unknown and for recursive types."""
    return _inline(schema, shared, set(), ())


def _inline(schema: Any, shared: Mapping[str, dict[str, Any]], done: set[str], path: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_inline(branch, shared, done, path) for branch in schema]
    if isinstance(schema, str):
        if schema in PRIMITIVES:
            return schema
        if schema in path:
            raise BadSchema(f"{schema} contains itself; recursive schemas are refused")
        if schema in done:
            return schema
        if schema not in shared:
            raise BadSchema(f"unknown type {schema}: there is no file for it")
        return _inline(shared[schema], shared, done, path)
    out = dict(schema)
    if "name" in out and out["type"] in ("record", "enum", "fixed"):
        full = f"{out['namespace']}.{out['name']}" if "namespace" in out else out["name"]
        done.add(full)
        path = (*path, full)
    if out["type"] == "record":
        out["fields"] = [_inline_field(f, shared, done, path) for f in out["fields"]]
    elif out["type"] == "array":
        out["items"] = _inline(out["items"], shared, done, path)
    elif out["type"] == "map":
        out["values"] = _inline(out["values"], shared, done, path)
    return out


def _inline_field(
    field: dict[str, Any], shared: Mapping[str, dict[str, Any]], done: set[str], path: tuple[str, ...]
) -> dict[str, Any]:
    out = {**field, "type": _inline(field["type"], shared, done, path)}
    if "spie.block" in out:
        out["spie.block"] = inline(out["spie.block"], shared)
    return out


def fingerprint(definition: Any) -> str:
    """SHA-256 (hex) of the inlined form without its docs. Unlike Avro's parsing canonical form it covers defaults,
    logical types, tags and blocks: everything that makes the contract."""
    return hashlib.sha256(canonical(definition).encode()).hexdigest()


def canonical(definition: Any) -> str:
    """The inlined form without docs, as JSON with sorted keys."""
    return json.dumps(_without_docs(definition), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without_docs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_docs(item) for key, item in value.items() if key != "doc"}
    return [_without_docs(item) for item in value] if isinstance(value, list) else value


def _places(
    schema: dict[str, Any], prefix: str, block: str | None, named: dict[str, Any], tags: tuple[str, ...] = ()
) -> Iterator[Field]:
    """Every field below a record, containers first. `named` remembers definitions for later references."""
    named[f"{schema.get('namespace')}.{schema['name']}"] = schema
    for item in schema["fields"]:
        name = f"{prefix}{item['name']}"
        own = tuple(dict.fromkeys((*tags, *item.get("confluent:tags", ()))))
        inside = item["name"] if "spie.block" in item else block
        text, nullable, below = describe_type(item.get("spie.block", item["type"]), named)
        if "spie.block" in item:
            nullable = isinstance(item["type"], list)
        yield Field(name, text, item.get("doc", ""), own, nullable, inside)
        if below is not None:
            yield from _places(below, f"{name}.", inside, named if "spie.block" not in item else {}, own)


def describe_type(schema: Any, named: dict[str, Any]) -> tuple[str, bool, dict[str, Any] | None]:
    """(short text, nullable, record whose fields are below or None) of a type."""
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        text, _, below = describe_type(branches[0], named)
        return text, len(branches) < len(schema), below
    if isinstance(schema, str):
        return describe_type(named[schema], named) if schema in named else (schema, False, None)
    kind = schema["type"]
    if kind == "array":
        text, _, below = describe_type(schema["items"], named)
        return f"list of {text}", False, below
    if kind == "enum":
        named[f"{schema.get('namespace')}.{schema['name']}"] = schema
        return "one of " + ", ".join(s for s in schema["symbols"] if s != schema.get("default")), False, None
    if kind == "record":
        return schema["name"], False, schema
    return schema.get("logicalType", kind), False, None
