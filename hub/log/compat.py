"""Whether a new version of a contract can replace older ones, by the Avro reference rules (`avro`'s checker)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException

from hub.log.limits import BadSchema


class Mode(StrEnum):
    """BACKWARD_TRANSITIVE: the new version reads what every older one wrote (inside the hub).
    FULL_TRANSITIVE: and every older one reads what the new one writes (what leaves on ``partner.<id>.out``)."""

    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


def check_compatible(older: Sequence[Any], new: Any, mode: Mode) -> list[str]:
    """What forbids `new` after all `older` versions (inlined JSON forms, oldest first); empty when nothing does.
    Sealed blocks are compared by the same rules, and a tag once given stays. Raises BadSchema."""
    problems = []
    for number, old in enumerate(older, 1):
        problems += [f"cannot read version {number}: {text}" for text in why_unreadable(new, old)]
        if mode is Mode.FULL_TRANSITIVE:
            problems += [f"version {number} cannot read it: {text}" for text in why_unreadable(old, new)]
        problems += [f"against version {number}: {text}" for text in _sealing_problems(old, new, mode)]
    return problems


def why_unreadable(reader: Any, writer: Any) -> list[str]:
    """Why `reader` cannot read what `writer` writes; empty when it can. Raises BadSchema when either is no schema."""
    result = ReaderWriterCompatibilityChecker().get_compatibility(_parse(reader), _parse(writer))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    kinds = ", ".join(sorted({kind.value for kind in result.incompatibilities})) or "incompatible"
    return [f"{kinds} at {', '.join(sorted(result.locations))}: {', '.join(sorted(result.messages))}"]


def _parse(schema: Any) -> avro.schema.Schema:
    try:
        return avro.schema.parse(json.dumps(_full_aliases(schema, None)))
    except (AvroException, AttributeError, TypeError, KeyError) as error:
        raise BadSchema(f"not an Avro schema: {error}") from None


def _full_aliases(schema: Any, namespace: str | None) -> Any:
    """Aliases of named types by full name: the specification reads a bare alias in its type's namespace, `avro`'s
    checker does not (it would refuse a rename)."""
    if isinstance(schema, list):
        return [_full_aliases(branch, namespace) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    out = dict(schema)
    if out.get("type") in ("record", "enum", "fixed"):
        space, dot, _ = str(out.get("name", "")).rpartition(".")
        namespace = space if dot else out.get("namespace", namespace)
        if namespace and "aliases" in out:
            out["aliases"] = [alias if "." in alias else f"{namespace}.{alias}" for alias in out["aliases"]]
    for key in ("items", "values", "type"):
        if isinstance(out.get(key), dict | list):
            out[key] = _full_aliases(out[key], namespace)
    if isinstance(out.get("fields"), list):
        out["fields"] = [_full_aliases(field, namespace) for field in out["fields"]]
    return out


def _sealing_problems(old: Any, new: Any, mode: Mode) -> list[str]:
    """Blocks and tags ride on fields as properties, which Avro's rules do not look at."""
    problems = []
    now = {field["name"]: field for field in new.get("fields", ())} if isinstance(new, dict) else {}
    for before in old.get("fields", ()) if isinstance(old, dict) else ():
        after = now.get(before["name"])
        if after is None:
            continue
        lost = set(before.get("confluent:tags", ())) - set(after.get("confluent:tags", ()))
        if lost:
            problems.append(f"field {before['name']} lost the tags {', '.join(sorted(lost))}")
        if ("spie.block" in before) != ("spie.block" in after):
            problems.append(
                f"field {before['name']} must stay {'sealed' if 'spie.block' in before else 'clear'}"
            )
        elif "spie.block" in before:
            inside = check_compatible([before["spie.block"]], after["spie.block"], mode)
            problems += [f"block {before['name']}: {text}" for text in inside]
    return problems
