"""`hub schema check`: the house rules of contracts (schemas/README.md), each finding with its place and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hub.log.compat import Mode, check_compatible
from hub.log.limits import BadSchema
from hub.log.registry import FileRegistry
from hub.log.schema import RecordSchema
from hub.log.writer import compile_writer

TAGS = frozenset({"PII", "HEALTH"})
COMMON = ("territory", "journey", "source", "observed_at", "corrects", "person")
BLOCK_TAGS = {"person": "PII", "sensitive": "HEALTH"}
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def check(registry: FileRegistry) -> list[str]:
    """Everything that is wrong with the folder of schemas; empty when nothing is. `registry` is read unlocked."""
    problems = []
    for schema in registry.schemas():
        where = f"{schema.family}/{schema.record}.v{schema.version}"
        problems += [f"{where}: {text}" for text in _record(schema)]
    problems += _shared(registry)
    problems += _topics(registry)
    problems += _lock(registry)
    problems += _evolution(registry)
    return problems


def _record(schema: RecordSchema) -> Iterator[str]:
    names = [field["name"] for field in schema.definition["fields"]]
    if tuple(names[: len(COMMON)]) != COMMON:
        yield f"must begin with the common block {', '.join(COMMON)}"
    for name in schema.matter:
        place = schema.fields.get(name)
        if place is None or place.block or "." in name:
            yield f"spie.matter names {name}, which is no clear field of the record itself"
    for field in schema.definition["fields"]:
        yield from _block_field(field)
    yield from _type(schema.definition, schema.record)
    for block in (schema.definition, *schema.blocks.values()):
        try:
            compile_writer(block)
        except BadSchema as error:
            yield f"{error}"


def _block_field(field: dict[str, Any]) -> Iterator[str]:
    name = field["name"]
    sealed = "spie.block" in field
    if sealed != (name in BLOCK_TAGS):
        yield f"{name}: the sealed blocks are person and sensitive, and they have spie.block"
    elif sealed:
        if BLOCK_TAGS[name] not in field.get("confluent:tags", ()):
            yield f"{name}: must be tagged {BLOCK_TAGS[name]}"
        if field["type"] != ("bytes" if name == "person" else ["null", "bytes"]):
            yield f"{name}: must be bytes, and nullable when it is the sensitive block"
    elif "PII" in field.get("confluent:tags", ()) or "HEALTH" in field.get("confluent:tags", ()):
        yield f"{name}: is tagged as personal and must be inside a sealed block"


def _type(schema: Any, path: str) -> Iterator[str]:
    """Docs, tags, enums, nullability and names, all the way down."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _type(branch, path)
        return
    if isinstance(schema, str):
        return
    if schema["type"] == "array":
        yield from _type(schema["items"], path)
    elif schema["type"] == "enum":
        if not schema.get("doc"):
            yield f"{path}: enum {schema['name']} has no doc"
        if schema.get("default") != "UNKNOWN" or schema["symbols"][-1] != "UNKNOWN":
            yield f"{path}: enum {schema['name']} must end with UNKNOWN and have it as default"
    elif schema["type"] == "record":
        if not schema.get("doc"):
            yield f"{path}: record {schema['name']} has no doc"
        for field in schema["fields"]:
            yield from _field(field, f"{path}.{field['name']}")


def _field(field: dict[str, Any], path: str) -> Iterator[str]:
    if not field.get("doc"):
        yield f"{path}: has no doc (meaning, unit or time zone, source)"
    if not SNAKE.fullmatch(field["name"]):
        yield f"{path}: names are lower_case_with_underscores"
    unknown = set(field.get("confluent:tags", ())) - TAGS
    if unknown:
        yield f"{path}: unknown tags {', '.join(sorted(unknown))}; known are {', '.join(sorted(TAGS))}"
    nullable = isinstance(field["type"], list)
    if nullable and ("default" not in field or field["default"] is not None):
        yield f"{path}: a nullable field has the default null"
    yield from _type(field["type"], path)
    if "spie.block" in field:
        yield from _type(field["spie.block"], path)


def _shared(registry: FileRegistry) -> Iterator[str]:
    """Shared types are used, and no two have one short name (they become one Python class)."""
    text = " ".join(str(schema.definition) for schema in registry.schemas())
    seen: dict[str, str] = {
        record: f"fr.spie.{registry.family(record)}.{record}" for record in registry.records()
    }
    for full, schema in registry.shared().items():
        if seen.setdefault(schema["name"], full) != full:
            yield f"{full}: {seen[schema['name']]} has the same short name"
        if f"'name': '{schema['name']}', 'namespace': '{schema['namespace']}'" not in text:
            yield f"{full}: no record uses it; delete the file"


def _topics(registry: FileRegistry) -> Iterator[str]:
    listed = [record for topic in registry.topics().values() for record in topic.records]
    for record in registry.records():
        if listed.count(record) != 1:
            yield f"topics.toml: {record} must be in exactly one topic"
    for record in sorted(set(listed) - set(registry.records())):
        yield f"topics.toml: there is no record {record}"


def _lock(registry: FileRegistry) -> Iterator[str]:
    """Released versions are as released; the others are as locked."""
    present = {f"{schema.record}.v{schema.version}": schema for schema in registry.schemas()}
    for name, entry in registry.lock.items():
        schema = present.get(name)
        if schema is None:
            yield f"lock.json: {name} has no file; an id once given stays"
        elif entry["fingerprint"] != schema.fingerprint and entry["released"]:
            yield f"{name}: is released and may not change; put the change in v{schema.version + 1}"
        elif entry["fingerprint"] != schema.fingerprint:
            yield f"{name}: is not what lock.json says; run `hub schema build --lock`"
    for name in present.keys() - registry.lock.keys():
        yield f"{name}: is not in lock.json; run `hub schema build --lock`"
    ids = [entry["id"] for entry in registry.lock.values()]
    if len(ids) != len(set(ids)):
        yield "lock.json: an id is given twice"


def _evolution(registry: FileRegistry) -> Iterator[str]:
    for record in registry.records():
        versions = [schema for schema in registry.schemas() if schema.record == record]
        if [schema.version for schema in versions] != list(range(1, len(versions) + 1)):
            yield f"{record}: versions are numbered 1, 2, 3 … without gaps"
        for number in range(1, len(versions)):
            older = [schema.definition for schema in versions[:number]]
            for text in check_compatible(older, versions[number].definition, Mode.BACKWARD_TRANSITIVE):
                yield f"{record}.v{versions[number].version}: {text}"
