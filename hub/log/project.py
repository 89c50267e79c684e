"""Views over events: nothing but the named fields of a decoded body, or of a block while it is decoded.

`project` cuts a value that was decoded whole; `restrict` makes the reader schema that decodes no more than the fields.
Both take the same dotted names and give the same result (tested against each other).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from typing import Any

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
