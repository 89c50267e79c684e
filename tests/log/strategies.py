"""Hypothesis strategies of values by an inlined schema, as a producer may set them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from hub.log.registry import current

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INSTANT = st.integers(-(10**12), 4 * 10**12).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "bytes": st.binary(max_size=12),
    "date": st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    "timestamp-millis": INSTANT,
    "uuid": st.uuids(),
}


def values(
    schema: Any, named: dict[str, Any] | None = None, limits: dict[str, Any] | None = None
) -> st.SearchStrategy[Any]:
    """Values of `schema`; enums without the reserved symbol."""
    named = {} if named is None else named
    limits = limits or {}
    if isinstance(schema, list):
        return st.none() | values(schema[1], named, limits)
    if isinstance(schema, str):
        if schema == "string" and "spie.pattern" in limits:
            return st.dates().map(date.isoformat)
        return PLAIN[schema] if schema in PLAIN else values(named[schema], named)
    if "name" in schema:
        named[f"{schema['namespace']}.{schema['name']}"] = schema
    kind = schema["type"]
    if kind == "array":
        return st.lists(
            values(schema["items"], named),
            min_size=limits.get("spie.min", 0),
            max_size=limits.get("spie.max", 4),
        )
    if kind == "enum":
        return st.sampled_from([symbol for symbol in schema["symbols"] if symbol != schema["default"]])
    if kind == "record":
        return st.fixed_dictionaries({f["name"]: values(f["type"], named, f) for f in schema["fields"]})
    return PLAIN[schema["logicalType"]]


def open_form(record: str) -> st.SearchStrategy[dict[str, Any]]:
    """Events of a record with their blocks as objects."""
    schema = current().get(record)
    named: dict[str, Any] = {}
    fields = {
        f["name"]: values(f["type"], named, f) for f in schema.definition["fields"] if "spie.block" not in f
    }
    blocks = {name: values(block) for name, block in schema.blocks.items()}
    if "sensitive" in blocks:
        blocks["sensitive"] |= st.none()
    return st.fixed_dictionaries(fields | blocks)
