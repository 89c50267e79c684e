"""Values against a schema before they are written: what Avro's writers let pass and readers then choke on.

fastavro writes 1.9 or True as an int, 2**40 as a 32-bit int, and any text as a uuid, which its own reader refuses: one
such event would be poison for every reader. A check is compiled once per schema and names the field that is wrong;
texts carry no values, which may be personal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from hub.log.limits import BadSchema

Check = Callable[[Any, str], None]

MAX_TEXT = 1024  # characters; contracts carry names and codes, no prose


class Invalid(ValueError):
    """A value that its schema does not allow. `field` is the dotted name, `rule` what it breaks, without the value."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field or 'record'}: {rule}")
        self.field, self.rule = field, rule


def compile_check(schema: Any) -> Check:
    """The check of an inlined schema: `check(value, "")` raises Invalid. Raises BadSchema for what contracts do not use
    (unions other than with null, maps, fixed, floating point)."""
    return _compile(schema, {}, {})


def _compile(schema: Any, named: dict[str, Check], limits: Mapping[str, Any]) -> Check:
    if isinstance(schema, str):
        if schema == "string" and "spie.pattern" in limits:
            return _pattern(re.compile(limits["spie.pattern"]))
        found = _PLAIN.get(schema) or named.get(schema)
        if found is None:
            raise BadSchema(f"type {schema} is not used in contracts")
        return found
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise BadSchema("a union must be null and one type, null first")
        return _nullable(_compile(schema[1], named, limits))
    kind = schema["type"]
    if kind == "array":
        return _array(_compile(schema["items"], named, {}), limits.get("spie.min", 0), limits.get("spie.max"))
    if kind == "enum":
        check = _enum(frozenset(schema["symbols"]) - {schema.get("default")})
    elif kind == "record":
        check = _record([(f, _compile(f["type"], named, f)) for f in schema["fields"]])
    else:
        logical = schema.get("logicalType")
        found = _LOGICAL.get((kind, logical)) if logical else _PLAIN.get(kind)
        if found is None:
            raise BadSchema(f"type {kind} with logicalType {logical} is not used in contracts")
        return found
    named[f"{schema['namespace']}.{schema['name']}" if "namespace" in schema else schema["name"]] = check
    return check


def _nullable(inner: Check) -> Check:
    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def _array(inner: Check, least: int, most: int | None) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise Invalid(path, "must be a list")
        if len(value) < least or (most is not None and len(value) > most):
            raise Invalid(
                path, f"must have between {least} and {most if most is not None else 'any number of'} items"
            )
        for item in value:
            inner(item, path)

    return check


def _enum(symbols: frozenset[str]) -> Check:
    listed = ", ".join(sorted(symbols))

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str) or value not in symbols:
            raise Invalid(path, f"must be one of {listed}")

    return check


def _record(fields: list[tuple[dict[str, Any], Check]]) -> Check:
    names = frozenset(field["name"] for field, _ in fields)
    # (name, its dotted form at the top, check, whether it may be left out)
    plan = [(field["name"], f".{field['name']}", check, "default" in field) for field, check in fields]

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise Invalid(path, "must be an object")
        if not names.issuperset(value):
            unknown = ", ".join(sorted(str(key) for key in value.keys() - names))
            raise Invalid(path, f"has unknown fields: {unknown}")
        for name, dotted, inner, optional in plan:
            if name in value:
                inner(value[name], path + dotted if path else name)
            elif not optional:
                raise Invalid(path + dotted if path else name, "is missing")

    return check


def _pattern(form: re.Pattern[str]) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise Invalid(path, f"must look like {form.pattern}")

    return check


def _boolean(value: Any, path: str) -> None:
    if value is not True and value is not False:
        raise Invalid(path, "must be true or false")


def _whole(bits: int) -> Check:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(value: Any, path: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise Invalid(path, f"must be a whole number of at most {bits} bits")

    return check


def _text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise Invalid(path, "must be text")
    if len(value) > MAX_TEXT:
        raise Invalid(path, f"must have at most {MAX_TEXT} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Invalid(path, "must be text that UTF-8 can write (lone surrogate)") from None


def _bytes(value: Any, path: str) -> None:
    if not isinstance(value, bytes):
        raise Invalid(path, "must be bytes")


def _null(value: Any, path: str) -> None:
    if value is not None:
        raise Invalid(path, "must be null")


def _date(value: Any, path: str) -> None:
    if type(value) is not date:
        raise Invalid(path, "must be a date")


def _instant(value: Any, path: str) -> None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Invalid(path, "must be an instant with a time zone")


def _uuid(value: Any, path: str) -> None:
    if isinstance(value, UUID):
        return
    try:
        if isinstance(value, str) and str(UUID(value)) == value:
            return
    except ValueError:
        raise Invalid(path, "must be a UUID in lower case with hyphens") from None
    raise Invalid(path, "must be a UUID in lower case with hyphens")


_PLAIN: dict[str, Check] = {
    "null": _null,
    "boolean": _boolean,
    "int": _whole(32),
    "long": _whole(64),
    "string": _text,
    "bytes": _bytes,
}
_LOGICAL: dict[tuple[str, str], Check] = {
    ("int", "date"): _date,
    ("long", "timestamp-millis"): _instant,
    ("string", "uuid"): _uuid,
}
