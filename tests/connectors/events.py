"""Events for tests of connectors: any value that a record's schema allows, as the codec gives it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from hypothesis import strategies as st

from hub.log.registry import current

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@cache
def events(record: str) -> st.SearchStrategy[dict[str, Any]]:
    """Whole events in their open form: blocks as dicts."""
    schema = current().get(record)
    named: dict[str, Any] = {}
    fields = {field["name"]: _values(field["type"], named) for field in schema.definition["fields"]}
    for name, block in schema.blocks.items():
        inner = _values(block, {})
        fields[name] = inner if name == "person" else st.none() | inner
    return st.fixed_dictionaries(fields)


def canaries(record: str) -> dict[str, Any]:
    """One event whose every text is ``CANARY<path>``, every list filled, nothing null: what leaks can be named."""
    schema = current().get(record)
    named: dict[str, Any] = {}
    event = {f["name"]: _canary(f["type"], f["name"], named) for f in schema.definition["fields"]}
    return event | {name: _canary(block, name, {}) for name, block in schema.blocks.items()}


def _values(schema: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    schema = _resolve(schema, named)
    if isinstance(schema, list):
        return st.one_of([_values(branch, named) for branch in schema])
    match schema.get("logicalType") or schema["type"]:
        case "null":
            return st.none()
        case "string" | "bytes":
            return TEXT
        case "boolean":
            return st.booleans()
        case "int" | "long":
            return st.integers(-(2**31), 2**31 - 1)
        case "date":
            return st.dates(date(1900, 1, 1), date(2100, 1, 1))
        case "timestamp-millis":
            return st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
        case "uuid":
            return st.uuids()
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "array":
            return st.lists(_values(schema["items"], named), max_size=3)
        case "record":
            return st.fixed_dictionaries({f["name"]: _values(f["type"], named) for f in schema["fields"]})
    raise AssertionError(f"no values for {schema}")


def _canary(schema: Any, path: str, named: dict[str, Any]) -> Any:
    schema = _resolve(schema, named)
    if isinstance(schema, list):
        return next(_canary(branch, path, named) for branch in schema if branch != "null")
    match schema.get("logicalType") or schema["type"]:
        case "string" | "bytes":
            return f"CANARY<{path}>"
        case "boolean":
            return True
        case "int" | "long":
            return 1
        case "date":
            return date(2026, 3, 20)
        case "timestamp-millis":
            return datetime(2026, 3, 20, 8, tzinfo=UTC)
        case "uuid":
            return "0a5d2c3b-8e4f-8a6b-9c7d-1e2f3a4b5c01"
        case "enum":
            return schema["symbols"][0]
        case "array":
            return [_canary(schema["items"], path, named)]
        case "record":
            return {f["name"]: _canary(f["type"], f"{path}.{f['name']}", named) for f in schema["fields"]}
    raise AssertionError(f"no canary for {schema}")


def _resolve(schema: Any, named: dict[str, Any]) -> Any:
    """A definition is remembered where it stands first and found again by its full name."""
    if isinstance(schema, str):
        return named.get(schema, {"type": schema})
    if isinstance(schema, dict) and schema["type"] in ("record", "enum"):
        named[f"{schema['namespace']}.{schema['name']}"] = schema
    if isinstance(schema, dict) and isinstance(schema["type"], (dict, list)):
        return _resolve(schema["type"], named)
    return schema
