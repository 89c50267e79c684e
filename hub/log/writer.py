"""Avro bytes of a value, checked while they are written: one pass, compiled once per schema.

fastavro writes 1.9 or True as an int, 2**40 as a 32-bit int, and any text as a uuid, which its own reader refuses: one
such event would be poison for every reader. Checking and then writing with it costs three times this pass, because it
tries the branches of every nullable field. Tests hold these bytes against fastavro's, value by value.
Errors name the field; texts carry no values, which may be personal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from hub.log.limits import BadSchema

Write = Callable[[Any, bytearray], None]

MAX_TEXT = 1024  # characters; contracts carry names and codes, no prose
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MISSING = object()


class Invalid(ValueError):
    """A value that its schema does not allow. `field` is the dotted name, `rule` what it breaks, without the value."""

    def __init__(self, rule: str, field: str = "") -> None:
        super().__init__(f"{field or 'record'}: {rule}")
        self.field, self.rule = field, rule

    def inside(self, name: str) -> Invalid:
        """The same, seen from one level higher."""
        return Invalid(self.rule, f"{name}.{self.field}" if self.field else name)


def compile_writer(schema: Any) -> Write:
    """The writer of an inlined schema: `write(value, out)` appends the value's bytes or raises Invalid. Raises BadSchema
    for what contracts do not use (unions other than with null, maps, fixed, floating point)."""
    return _compile(schema, {}, {})


def _compile(schema: Any, named: dict[str, Write], limits: Mapping[str, Any]) -> Write:
    if isinstance(schema, str):
        if schema == "string" and "spie.pattern" in limits:
            return _pattern(re.compile(limits["spie.pattern"]))
        return _known(_PLAIN.get(schema) or named.get(schema), schema)
    if isinstance(schema, list):
        return _nullable(_compile(_other_branch(schema), named, limits))
    kind = schema["type"]
    if kind == "array":
        return _array(_compile(schema["items"], named, {}), limits.get("spie.min", 0), limits.get("spie.max"))
    if kind == "enum":
        write = _enum(schema["symbols"], schema.get("default"))
    elif kind == "record":
        write = _record(schema, named)
    elif "logicalType" in schema:
        return _known(
            _LOGICAL.get((kind, schema["logicalType"])), f"{kind} with logicalType {schema['logicalType']}"
        )
    else:
        return _known(_PLAIN.get(kind), kind)
    named[f"{schema['namespace']}.{schema['name']}" if "namespace" in schema else schema["name"]] = write
    return write


def _known(found: Write | None, what: Any) -> Write:
    if found is None:
        raise BadSchema(f"type {what} is not used in contracts")
    return found


def _other_branch(union: list[Any]) -> Any:
    if len(union) != 2 or union[0] != "null":
        raise BadSchema("a union must be null and one type, null first")
    return union[1]


def _record(schema: dict[str, Any], named: dict[str, Write]) -> Write:
    plan = [_field(field, named) for field in schema["fields"]]
    names = frozenset(name for name, *_ in plan)

    def write(value: Any, out: bytearray) -> None:
        if not isinstance(value, dict):
            raise Invalid("must be an object")
        if not names.issuperset(value):
            raise Invalid(
                f"has unknown fields: {', '.join(sorted(str(key) for key in value.keys() - names))}"
            )
        get = value.get
        name = ""
        try:
            for name, inner, nullable, default in plan:
                item = get(name, _MISSING)
                if item is _MISSING:
                    if default is None:
                        raise Invalid("is missing")
                    out += default
                elif not nullable:
                    inner(item, out)
                elif item is None:
                    out.append(0)
                else:
                    out.append(2)
                    inner(item, out)
        except Invalid as error:
            raise error.inside(name) from None

    return write


def _field(field: dict[str, Any], named: dict[str, Write]) -> tuple[str, Write, bool, bytes | None]:
    """(name, writer of what is not null, whether null is allowed, bytes of the default)."""
    nullable = isinstance(field["type"], list)
    inner = _compile(_other_branch(field["type"]) if nullable else field["type"], named, field)
    default = None
    if "default" in field:
        out = bytearray()
        try:
            (_nullable(inner) if nullable else inner)(field["default"], out)
        except Invalid as error:
            raise BadSchema(f"{field['name']}: its default {error.rule}") from None
        default = bytes(out)
    return field["name"], inner, nullable, default


def _nullable(inner: Write) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(2)
            inner(value, out)

    return write


def _array(inner: Write, least: int, most: int | None) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if not isinstance(value, list):
            raise Invalid("must be a list")
        if len(value) < least or (most is not None and len(value) > most):
            raise Invalid(f"must have between {least} and {'any number of' if most is None else most} items")
        if value:
            _number(len(value), out)
            for item in value:
                inner(item, out)
        out.append(0)

    return write


def _enum(symbols: list[str], reserved: str | None) -> Write:
    numbers = {symbol: number for number, symbol in enumerate(symbols) if symbol != reserved}
    listed = ", ".join(numbers)

    def write(value: Any, out: bytearray) -> None:
        number = numbers.get(value) if isinstance(value, str) else None
        if number is None:
            raise Invalid(f"must be one of {listed}")
        _number(number, out)

    return write


def _pattern(form: re.Pattern[str]) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise Invalid(f"must look like {form.pattern}")
        _text(value, out)

    return write


def _number(value: int, out: bytearray) -> None:
    """Zigzag, then seven bits a byte, lowest first."""
    rest = value << 1 if value >= 0 else (~value << 1) | 1
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)


def _whole(bits: int) -> Write:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def write(value: Any, out: bytearray) -> None:
        if type(value) is not int or not low <= value <= high:
            raise Invalid(f"must be a whole number of at most {bits} bits")
        _number(value, out)

    return write


def _boolean(value: Any, out: bytearray) -> None:
    if value is not True and value is not False:
        raise Invalid("must be true or false")
    out.append(value)


def _text(value: Any, out: bytearray) -> None:
    if not isinstance(value, str):
        raise Invalid("must be text")
    if len(value) > MAX_TEXT:
        raise Invalid(f"must have at most {MAX_TEXT} characters")
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise Invalid("must be text that UTF-8 can write (lone surrogate)") from None
    _number(len(data), out)
    out += data


def _bytes(value: Any, out: bytearray) -> None:
    if not isinstance(value, bytes):
        raise Invalid("must be bytes")
    _number(len(value), out)
    out += value


def _null(value: Any, out: bytearray) -> None:
    if value is not None:
        raise Invalid("must be null")


def _date(value: Any, out: bytearray) -> None:
    if type(value) is not date:
        raise Invalid("must be a date")
    _number(value.toordinal() - _EPOCH_DAY, out)


def _instant(value: Any, out: bytearray) -> None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Invalid("must be an instant with a time zone")
    since = value - _EPOCH
    _number((since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000, out)


def _uuid(value: Any, out: bytearray) -> None:
    if not isinstance(value, UUID):
        try:
            if not isinstance(value, str) or str(UUID(value)) != value:
                raise ValueError
        except ValueError:
            raise Invalid("must be a UUID in lower case with hyphens") from None
    out.append(72)  # 36 characters
    out += str(value).encode()


_PLAIN: dict[str, Write] = {
    "null": _null,
    "boolean": _boolean,
    "int": _whole(32),
    "long": _whole(64),
    "string": _text,
    "bytes": _bytes,
}
_LOGICAL: dict[tuple[str, str], Write] = {
    ("int", "date"): _date,
    ("long", "timestamp-millis"): _instant,
    ("string", "uuid"): _uuid,
}
