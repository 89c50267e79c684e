"""Compatibility verdicts by the rules of the Avro specification ("Schema Resolution"), pair by pair."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.utils import generate_one

from hub.log.compat import Mode, check_compatible, why_unreadable
from hub.log.limits import BadSchema


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def fld(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def enum(*symbols: str, name: str = "E", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


def arr(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mapped(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


A_INT = rec(fld("a", "int"))
DATE = {"type": "int", "logicalType": "date"}

# (what the pair is about, reader, writer, whether the reader reads all that the writer writes)
PAIRS = [
    ("same null", "null", "null", True),
    ("same boolean", "boolean", "boolean", True),
    ("same int", "int", "int", True),
    ("same bytes", "bytes", "bytes", True),
    ("int to long", "long", "int", True),
    ("int to float", "float", "int", True),
    ("int to double", "double", "int", True),
    ("long to float", "float", "long", True),
    ("long to double", "double", "long", True),
    ("float to double", "double", "float", True),
    ("string to bytes", "bytes", "string", True),
    ("bytes to string", "string", "bytes", True),
    ("long to int", "int", "long", False),
    ("float to long", "long", "float", False),
    ("double to float", "float", "double", False),
    ("int to boolean", "boolean", "int", False),
    ("boolean to int", "int", "boolean", False),
    ("null to int", "int", "null", False),
    ("int to null", "null", "int", False),
    ("int to string", "string", "int", False),
    ("string to int", "int", "string", False),
    ("bytes to fixed", fixed(4), "bytes", False),
    ("fixed to bytes", "bytes", fixed(4), False),
    ("string to enum", enum("A"), "string", False),
    ("enum to string", "string", enum("A"), False),
    ("date to int", "int", DATE, True),
    ("int to date", DATE, "int", True),
    ("same array", arr("int"), arr("int"), True),
    ("array items promoted", arr("long"), arr("int"), True),
    ("array items demoted", arr("int"), arr("long"), False),
    ("array to map", mapped("int"), arr("int"), False),
    ("map values promoted", mapped("double"), mapped("int"), True),
    ("map values demoted", mapped("int"), mapped("double"), False),
    ("map to array", arr("int"), mapped("int"), False),
    ("array of records", arr(rec(fld("a", "long"))), arr(A_INT), True),
    ("same fixed", fixed(4), fixed(4), True),
    ("fixed of another size", fixed(8), fixed(4), False),
    ("fixed of another name", fixed(4, name="G"), fixed(4), False),
    ("fixed with alias", fixed(4, name="G", aliases=["F"]), fixed(4), True),
    ("same enum", enum("A", "B"), enum("A", "B"), True),
    ("enum with one symbol more", enum("A", "B", "C"), enum("A", "B"), True),
    ("enum in another order", enum("B", "A"), enum("A", "B"), True),
    ("enum lacks a symbol", enum("A"), enum("A", "B"), False),
    ("enum lacks a symbol, has a default", enum("A", "U", default="U"), enum("A", "B"), True),
    ("enum default of the writer does not help", enum("A"), enum("A", "B", default="A"), False),
    ("enum of another name", enum("A", name="G"), enum("A"), False),
    ("enum with alias", enum("A", name="G", aliases=["E"]), enum("A"), True),
    ("enum of another namespace", enum("A", namespace="x"), enum("A", namespace="y"), True),
    ("same record", A_INT, A_INT, True),
    ("record with no field", rec(), A_INT, True),
    ("field dropped", rec(fld("a", "int")), rec(fld("a", "int"), fld("b", "int")), True),
    ("field added with default", rec(fld("a", "int"), fld("b", "int", default=0)), A_INT, True),
    (
        "field added with null default",
        rec(fld("a", "int"), fld("b", ["null", "int"], default=None)),
        A_INT,
        True,
    ),
    ("field added without default", rec(fld("a", "int"), fld("b", "int")), A_INT, False),
    ("nullable field added without default", rec(fld("a", "int"), fld("b", ["null", "int"])), A_INT, False),
    (
        "enum field added with the enum's default only",
        rec(fld("a", "int"), fld("b", enum("A", "U", default="U"))),
        A_INT,
        False,
    ),
    (
        "record field added with default",
        rec(fld("b", rec(fld("c", "int", default=1), name="S"), default={})),
        rec(),
        True,
    ),
    ("array field added with default", rec(fld("b", arr("int"), default=[])), rec(), True),
    (
        "fields in another order",
        rec(fld("b", "int"), fld("a", "int")),
        rec(fld("a", "int"), fld("b", "int")),
        True,
    ),
    ("field promoted", rec(fld("a", "long")), A_INT, True),
    ("field demoted", A_INT, rec(fld("a", "long")), False),
    ("field renamed", rec(fld("b", "int")), A_INT, False),
    ("field renamed with alias", rec(fld("b", "int", aliases=["a"])), A_INT, True),
    ("field renamed with alias of another type", rec(fld("b", "string", aliases=["a"])), A_INT, False),
    ("field made nullable", rec(fld("a", ["null", "int"])), A_INT, True),
    ("field no longer nullable", A_INT, rec(fld("a", ["null", "int"])), False),
    ("record of another name", rec(fld("a", "int"), name="S"), A_INT, False),
    ("record with alias", rec(fld("a", "int"), name="S", aliases=["R"]), A_INT, True),
    (
        "record of another namespace",
        rec(fld("a", "int"), namespace="x"),
        rec(fld("a", "int"), namespace="y"),
        True,
    ),
    (
        "record with an alias in its own namespace",
        rec(fld("a", "int"), name="S", namespace="x", aliases=["R"]),
        rec(fld("a", "int"), namespace="x"),
        True,
    ),
    (
        "record with a full alias",
        rec(fld("a", "int"), name="S", namespace="x", aliases=["y.R"]),
        rec(fld("a", "int"), namespace="y"),
        True,
    ),
    ("record to map", mapped("int"), A_INT, False),
    (
        "nested record changed",
        rec(fld("s", rec(fld("x", "int"), name="S"))),
        rec(fld("s", rec(name="S"))),
        False,
    ),
    (
        "nested record with default",
        rec(fld("s", rec(fld("x", "int", default=1), name="S"))),
        rec(fld("s", rec(name="S"))),
        True,
    ),
    ("same union", ["null", "int"], ["null", "int"], True),
    ("union in another order", ["int", "null"], ["null", "int"], True),
    ("union with one branch more", ["null", "int", "string"], ["null", "int"], True),
    ("union lacks a branch", ["null", "int"], ["null", "int", "string"], False),
    ("union branch promoted", ["null", "long"], ["null", "int"], True),
    ("union branch demoted", ["null", "int"], ["null", "long"], False),
    ("into a union", ["null", "int"], "int", True),
    ("into a union by promotion", ["null", "double"], "int", True),
    ("into a union that lacks it", ["null", "int"], "boolean", False),
    ("out of a union of one", "int", ["int"], True),
    ("out of a union that fits", "long", ["int", "long"], True),
    ("out of a union that does not fit", "int", ["null", "int"], False),
    ("out of an empty union", "int", [], True),
    ("union of string and bytes", ["bytes"], ["string"], True),
    ("union of records", [rec(fld("a", "long"))], [A_INT], True),
    ("union of another record", [rec(fld("a", "int"), name="S")], [A_INT], False),
    (
        "enum lacks a symbol inside a union",
        rec(fld("e", ["null", enum("A", "U", default="U")])),
        rec(fld("e", ["null", enum("A", "B")])),
        True,
    ),
    (
        "one bad field among good ones",
        rec(fld("a", "int"), fld("b", "string"), fld("c", "int")),
        rec(fld("a", "int"), fld("b", "int"), fld("c", "int")),
        False,
    ),
    (
        "two bad fields",
        rec(fld("a", "string"), fld("b", "string")),
        rec(fld("a", "int"), fld("b", "int")),
        False,
    ),
]


@pytest.mark.parametrize(("reader", "writer", "reads"), [p[1:] for p in PAIRS], ids=[p[0] for p in PAIRS])
def test_reader_and_writer_pair(reader: Any, writer: Any, reads: bool) -> None:
    problems = why_unreadable(reader, writer)
    assert (problems == []) is reads, problems


READABLE = [pair for pair in PAIRS if pair[3] and pair[2] != []]  # nothing can be written by an empty union


@pytest.mark.parametrize(("reader", "writer"), [p[1:3] for p in READABLE], ids=[p[0] for p in READABLE])
def test_what_is_called_readable_is_read(reader: Any, writer: Any) -> None:
    """The verdict holds for the library that reads events, not only on paper."""
    written, out = parse_schema(writer), BytesIO()
    schemaless_writer(out, written, b"text" if writer == "bytes" else generate_one(written))
    out.seek(0)
    schemaless_reader(out, written, parse_schema(reader))
    assert out.read() == b""


V1 = rec(fld("a", "int"))
V2 = rec(fld("a", "int"), fld("b", "int", default=0))
V3 = rec(fld("a", "int"), fld("c", "string", default=""))


def test_backward_allows_a_new_field_with_a_default() -> None:
    assert check_compatible([V1, V2], V3, Mode.BACKWARD_TRANSITIVE) == []


def test_transitive_looks_at_every_older_version() -> None:
    third = rec(fld("a", "int"), fld("b", "int"))
    problems = check_compatible([V1, V2], third, Mode.BACKWARD_TRANSITIVE)
    assert len(problems) == 1
    assert "version 1" in problems[0]


def test_full_refuses_to_drop_a_field_without_default_that_older_readers_need() -> None:
    new = rec(fld("b", "int", default=0))
    assert check_compatible([V1], new, Mode.BACKWARD_TRANSITIVE) == []
    problems = check_compatible([V1], new, Mode.FULL_TRANSITIVE)
    assert [text for text in problems if "cannot read it" in text]


def test_a_new_enum_symbol_is_backward_and_full_only_with_a_default_in_the_older_version() -> None:
    old, new = rec(fld("e", enum("A"))), rec(fld("e", enum("A", "B")))
    assert check_compatible([old], new, Mode.BACKWARD_TRANSITIVE) == []
    assert check_compatible([old], new, Mode.FULL_TRANSITIVE) != []
    tolerant = rec(fld("e", enum("A", "UNKNOWN", default="UNKNOWN")))
    assert check_compatible([tolerant], rec(fld("e", enum("A", "B", "UNKNOWN"))), Mode.FULL_TRANSITIVE) == []


def test_a_sealed_field_stays_sealed_and_its_block_follows_the_same_rules() -> None:
    block = rec(fld("n", "string"), name="B")
    sealed = rec(fld("p", "bytes", **{"spie.block": block}))
    assert check_compatible([sealed], rec(fld("p", "bytes")), Mode.BACKWARD_TRANSITIVE) == [
        "against version 1: field p must stay sealed"
    ]
    stricter = rec(fld("p", "bytes", **{"spie.block": rec(fld("n", "string"), fld("m", "string"), name="B")}))
    assert "block p" in check_compatible([sealed], stricter, Mode.BACKWARD_TRANSITIVE)[0]


def test_a_tag_once_given_stays() -> None:
    tagged = rec(fld("a", "int", **{"confluent:tags": ["HEALTH"]}))
    assert check_compatible([tagged], V1, Mode.BACKWARD_TRANSITIVE) == [
        "against version 1: field a lost the tags HEALTH"
    ]


@pytest.mark.parametrize("schema", [{"type": "record"}, {"type": "nonsense"}, {"fields": []}, 7])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        why_unreadable(schema, "int")
