"""Schema ids ↔ schemas, read from the folder `schemas/` and its `lock.json`: the `.avsc` files are the contract.

A record is a file ``<family>/<Record>.v<N>.avsc``; any other ``.avsc`` is a shared type that records refer to by full
name (hub/log/schema.py inlines them).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from hub.log.limits import BadSchema, check_schema
from hub.log.schema import RecordSchema, fingerprint, inline

RECORD_FILE = re.compile(r"(?P<record>[A-Z][A-Za-z]+)\.v(?P<version>[1-9][0-9]*)\.avsc")


class UnknownSchema(LookupError):
    """No schema has this id or name. The same answer will come again: poison, never retry."""


class RegistryUnavailable(Exception):
    """Schemas cannot be read at this moment; the same question may be answered later: retry, never poison."""


@dataclass(frozen=True)
class Topic:
    """One topic of ``topics.toml``. `settings` are the broker's topic settings as text."""

    name: str
    doc: str
    owner: str
    records: tuple[str, ...]
    partitions: int
    settings: Mapping[str, str]
    internal: bool


class Registry(Protocol):
    """What the codec asks. An implementation raises UnknownSchema or RegistryUnavailable, nothing else."""

    def schema_for(self, schema_id: int) -> RecordSchema: ...

    def get(self, record: str, version: int | None = None) -> RecordSchema: ...


def root() -> Path:
    """The folder of schemas: HUB_SCHEMAS, or `schemas/` beside the package `hub`. Raises RegistryUnavailable."""
    chosen = os.environ.get("HUB_SCHEMAS")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "schemas"
    if not (folder / "topics.toml").is_file():
        raise RegistryUnavailable(
            f"{folder} holds no schemas (topics.toml is missing); set HUB_SCHEMAS to the folder"
        )
    return folder


class FileRegistry:
    """The registry over one folder, read once. With `locked` (the default) every record must be in ``lock.json`` with
    the fingerprint that its file has: another form under the same id would make stored events unreadable."""

    def __init__(self, folder: Path | None = None, *, locked: bool = True) -> None:
        self.folder = folder or root()
        try:
            self._shared, sources = _read_files(self.folder)
            self._topics = _read_topics(self.folder / "topics.toml")
            self.lock = read_lock(self.folder)
        except OSError as error:
            raise RegistryUnavailable(f"{self.folder}: {error.strerror}: {error.filename}") from error
        self._records: dict[str, dict[int, RecordSchema]] = {}
        for (record, version), (path, schema) in sorted(sources.items()):
            self._records.setdefault(record, {})[version] = self._register(
                record, version, path, schema, locked
            )
        self._by_id = {s.id: s for s in self.schemas() if s.id}
        self._topic_of = {record: topic.name for topic in self._topics.values() for record in topic.records}

    def _register(
        self, record: str, version: int, path: Path, schema: dict[str, Any], locked: bool
    ) -> RecordSchema:
        try:
            definition = inline(schema, self._shared)
            check_schema(definition)
            blocks = {f["name"]: f["spie.block"] for f in definition["fields"] if "spie.block" in f}
            for block in blocks.values():
                check_schema(block)
        except BadSchema as error:
            raise BadSchema(f"{path}: {error}") from None
        digest = fingerprint(definition)
        entry = self.lock.get(f"{record}.v{version}")
        if locked and (entry is None or entry["fingerprint"] != digest):
            raise BadSchema(
                f"{path}: is not what lock.json says; run `hub schema check`, then `hub schema build --lock`"
            )
        return RecordSchema(
            record, version, path.parent.name, definition, blocks, digest, entry["id"] if entry else 0
        )

    def get(self, record: str, version: int | None = None) -> RecordSchema:
        """A record's schema, its newest version by default. Raises UnknownSchema."""
        versions = self._records.get(record, {})
        found = versions.get(version if version is not None else max(versions, default=0))
        if found is None:
            known = ", ".join(self.records())
            raise UnknownSchema(
                f"no schema {record}{f' v{version}' if version else ''}; known records: {known}"
            )
        return found

    def schema_for(self, schema_id: int) -> RecordSchema:
        """The schema of a framed id. Raises UnknownSchema."""
        found = self._by_id.get(schema_id)
        if found is None:
            raise UnknownSchema(f"no schema has id {schema_id}")
        return found

    def id_for(self, record: str, version: int | None = None) -> int:
        """The id that frames a record's events. Raises UnknownSchema."""
        return self.get(record, version).id

    def records(self) -> list[str]:
        """Names of all records, sorted."""
        return sorted(self._records)

    def schemas(self) -> list[RecordSchema]:
        """Every version of every record."""
        return [schema for record in self.records() for _, schema in sorted(self._records[record].items())]

    def tags(self, record: str, name: str) -> tuple[str, ...]:
        """Tags of a field by its dotted name (PII, HEALTH); inside a block its tags hold too. Raises UnknownSchema."""
        place = self.get(record).fields.get(name)
        if place is None:
            raise UnknownSchema(f"{record} has no field {name}")
        return place.tags

    def matter(self, record: str) -> tuple[str, ...]:
        """See RecordSchema.matter."""
        return self.get(record).matter

    def family(self, record: str) -> str:
        """entrants, orientations, measures or hub."""
        return self.get(record).family

    def topic(self, record: str) -> str:
        """The topic that carries the record. Raises UnknownSchema."""
        try:
            return self._topic_of[record]
        except KeyError:
            raise UnknownSchema(f"{record} is in no topic of topics.toml") from None

    def topics(self) -> Mapping[str, Topic]:
        """Every topic by name."""
        return self._topics

    def block(self, record: str, name: str) -> dict[str, Any] | None:
        """Inlined schema of a sealed block, None when the record has none of this name."""
        return self.get(record).blocks.get(name)

    def shared(self) -> Mapping[str, dict[str, Any]]:
        """Shared types by full name, as written in their files."""
        return self._shared


@cache
def current() -> FileRegistry:
    """The registry of this process."""
    return FileRegistry()


def _read_files(
    folder: Path,
) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, int], tuple[Path, dict[str, Any]]]]:
    """Shared types by full name, and records by (name, version). Raises BadSchema naming the file."""
    shared: dict[str, dict[str, Any]] = {}
    records: dict[tuple[str, int], tuple[Path, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/*.avsc")):
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadSchema(f"{path}: not JSON: {error}") from None
        match = RECORD_FILE.fullmatch(path.name)
        expected = (match["record"] if match else path.stem, f"fr.spie.{path.parent.name}")
        if not isinstance(schema, dict) or (schema.get("name"), schema.get("namespace")) != expected:
            raise BadSchema(f"{path}: must define {expected[0]} in namespace {expected[1]}")
        if match:
            records[match["record"], int(match["version"])] = (path, schema)
        else:
            shared[f"{expected[1]}.{expected[0]}"] = schema
    return shared, records


def _read_topics(path: Path) -> dict[str, Topic]:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    defaults = document["defaults"]
    return {
        name: Topic(
            name=name,
            doc=entry["doc"],
            owner=entry.get("owner", defaults["owner"]),
            records=tuple(entry["records"]),
            partitions=entry.get("partitions", defaults["partitions"]),
            settings={**defaults["settings"], **entry.get("settings", {})},
            internal=entry.get("internal", False),
        )
        for name, entry in document["topics"].items()
    }


def read_lock(folder: Path) -> dict[str, dict[str, Any]]:
    """``lock.json``: by ``<Record>.v<N>`` its id, fingerprint and whether it is released. Empty when there is none."""
    path = folder / "lock.json"
    return json.loads(path.read_text(encoding="utf-8"))["records"] if path.exists() else {}


def write_lock(registry: FileRegistry) -> bool:
    """Bring ``lock.json`` up to date with the files: new versions get the next id, unreleased ones their present
    fingerprint. Returns whether it changed; idempotent. Raises BadSchema when a released version would change."""
    entries = dict(registry.lock)
    for schema in registry.schemas():
        name = f"{schema.record}.v{schema.version}"
        entry = entries.get(
            name, {"id": 1 + max((e["id"] for e in entries.values()), default=0), "released": False}
        )
        if entry["released"] and entry["fingerprint"] != schema.fingerprint:
            raise BadSchema(
                f"{name} is released and may not change: add {schema.record}.v{schema.version + 1}.avsc"
            )
        entries[name] = {"id": entry["id"], "fingerprint": schema.fingerprint, "released": entry["released"]}
    lines = [
        f"    {json.dumps(name)}: {json.dumps(entry)}"
        for name, entry in sorted(entries.items(), key=lambda e: e[1]["id"])
    ]
    text = '{\n  "records": {\n' + ",\n".join(lines) + "\n  }\n}\n"
    path = registry.folder / "lock.json"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True
