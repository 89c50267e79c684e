"""What a schema may be: no recursion, bounded depth and width, no array of nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hub.log.limits import MAX_DEPTH, MAX_FIELDS, BadSchema, check_schema, count_nodes
from hub.log.registry import current


def rec(name: str, *fields: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields], **more}


def nested(depth: int) -> Any:
    schema: Any = "int"
    for _ in range(depth - 1):
        schema = {"type": "array", "items": schema}
    return schema


EMPTY = rec("E")

REFUSED = [
    ("itself in a union", rec("L", ("n", ["null", "L"])), "contains itself"),
    ("itself in an array", rec("L", ("n", {"type": "array", "items": "L"})), "contains itself"),
    ("itself in a map", rec("L", ("n", {"type": "map", "values": "L"})), "contains itself"),
    ("each other", rec("A", ("b", rec("B", ("a", ["null", "A"])))), "contains itself"),
    ("itself by full name", rec("L", ("n", ["null", "x.L"]), namespace="x"), "contains itself"),
    ("itself defined again inside", rec("L", ("n", rec("L"))), "contains itself"),
    ("too deep", nested(MAX_DEPTH + 1), "deeper"),
    ("too wide", rec("W", *((f"f{i}", "int") for i in range(MAX_FIELDS + 1))), "fields"),
    (
        "too wide in all",
        rec("W", *((f"f{i}", rec(f"R{i}", *((f"g{j}", "int") for j in range(50)))) for i in range(10))),
        "fields",
    ),
    ("array of null", {"type": "array", "items": "null"}, "take no bytes"),
    ("array of an empty record", {"type": "array", "items": EMPTY}, "take no bytes"),
    (
        "array of a record of nulls",
        {"type": "array", "items": rec("N", ("a", "null"), ("b", EMPTY))},
        "take no bytes",
    ),
    (
        "array of an empty record by name",
        rec("R", ("e", EMPTY), ("l", {"type": "array", "items": "E"})),
        "take no bytes",
    ),
    (
        "array of empty fixed",
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
        "take no bytes",
    ),
    ("unknown type", rec("R", ("a", "nowhere.X")), "unknown type"),
    ("a record without fields", {"type": "record", "name": "R"}, "list of fields"),
    ("a record without a name", {"type": "record", "fields": []}, "without a name"),
    (
        "a field without type",
        {"type": "record", "name": "R", "fields": [{"name": "a"}]},
        "without name or type",
    ),
    ("a number", 7, "not a schema"),
]


@pytest.mark.parametrize(("schema", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(schema: Any, why: str) -> None:
    with pytest.raises(BadSchema, match=why):
        check_schema(schema)


ALLOWED = [
    ("deep enough", nested(MAX_DEPTH)),
    ("the same type twice", rec("R", ("a", rec("S", ("x", "int"))), ("b", "S"))),
    ("array of nullable", {"type": "array", "items": ["null", "int"]}),
    (
        "array of a record with one byte",
        {"type": "array", "items": rec("S", ("n", "null"), ("b", "boolean"))},
    ),
    ("type of a type", {"type": {"type": "string", "logicalType": "uuid"}}),
    ("name with its namespace inside", rec("x.R", ("a", rec("S", ("v", "int"))), ("b", "x.S"))),
]


@pytest.mark.parametrize("schema", [a[1] for a in ALLOWED], ids=[a[0] for a in ALLOWED])
def test_allowed(schema: Any) -> None:
    check_schema(schema)


def test_every_contract_and_block_is_allowed() -> None:
    for schema in current().schemas():
        for definition in (schema.definition, *schema.blocks.values()):
            check_schema(definition)


def test_counting_stops_at_the_limit() -> None:
    assert count_nodes({"a": [1, 2, {"b": None}]}) == 6
    assert count_nodes([0] * 1000, limit=10) == 11
