"""What a schema may be before anything is decoded with it.

fastavro's C reader recurses without limit (a 5 kB message of a self-referencing schema kills the process) and makes
20 million elements of five bytes when array items take no bytes; both are refused here, at registration.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 16
MAX_FIELDS = 500
MAX_BYTES = 1_048_576
MAX_NODES = 100_000

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


class BadSchema(ValueError):
    """A schema that may not be registered. The text names the place in the schema and the rule it breaks."""


def check_schema(schema: Any) -> None:
    """Refuse a schema that is recursive, deeper than MAX_DEPTH, wider than MAX_FIELDS fields in all, that has an array
    whose items take no bytes, or that names a type which it does not define. Raises BadSchema. `schema` is the JSON
    form with all definitions inlined."""
    _Walk().visit(schema, "$", 1, None)


class _Walk:
    """One pass over a schema; `open_names` are the named types that enclose the place."""

    def __init__(self) -> None:
        self.fields = 0
        self.defined: dict[str, bool] = {}  # full name → takes no bytes
        self.open_names: set[str] = set()

    def visit(self, schema: Any, path: str, depth: int, namespace: str | None) -> bool:
        """Check one place; returns whether a value of it can take no bytes at all."""
        if depth > MAX_DEPTH:
            raise BadSchema(f"{path}: nested deeper than {MAX_DEPTH}")
        if isinstance(schema, str):
            return self._reference(schema, path, namespace)
        if isinstance(schema, list):
            for index, branch in enumerate(schema):
                self.visit(branch, f"{path}[{index}]", depth + 1, namespace)
            return False  # the branch number takes a byte
        if not isinstance(schema, dict) or "type" not in schema:
            raise BadSchema(f"{path}: not a schema")
        kind = schema["type"]
        if kind == "record" or kind == "error":
            return self._record(schema, path, depth, namespace)
        if kind == "array":
            if self.visit(schema.get("items"), f"{path}.items", depth + 1, namespace):
                raise BadSchema(f"{path}: array of items that take no bytes")
            return False
        if kind == "map":
            self.visit(schema.get("values"), f"{path}.values", depth + 1, namespace)
            return False
        if kind == "enum" or kind == "fixed":
            empty = kind == "fixed" and not schema.get("size")
            self.defined[_full_name(schema, namespace, path)[0]] = empty
            return empty
        return self.visit(kind, path, depth + (not isinstance(kind, str)), namespace)

    def _reference(self, name: str, path: str, namespace: str | None) -> bool:
        if name in PRIMITIVES:
            return name == "null"
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full in self.open_names:
            raise BadSchema(f"{path}: {full} contains itself; recursive schemas are refused")
        if full not in self.defined:
            raise BadSchema(f"{path}: unknown type {name}")
        return self.defined[full]

    def _record(self, schema: dict[str, Any], path: str, depth: int, namespace: str | None) -> bool:
        full, inner = _full_name(schema, namespace, path)
        if full in self.open_names:
            raise BadSchema(f"{path}: {full} contains itself; recursive schemas are refused")
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise BadSchema(f"{path}: record without a list of fields")
        self.fields += len(fields)
        if self.fields > MAX_FIELDS:
            raise BadSchema(f"{path}: more than {MAX_FIELDS} fields in all")
        self.open_names.add(full)
        empty = True
        for field in fields:
            if not isinstance(field, dict) or "name" not in field or "type" not in field:
                raise BadSchema(f"{path}: a field without name or type")
            empty &= self.visit(field["type"], f"{path}.{field['name']}", depth + 1, inner)
        self.open_names.discard(full)
        self.defined[full] = empty
        return empty


def _full_name(schema: dict[str, Any], namespace: str | None, path: str) -> tuple[str, str | None]:
    """Full name and the namespace for what is inside, by the Avro specification's name rules."""
    name = schema.get("name")
    if not isinstance(name, str) or not name:
        raise BadSchema(f"{path}: a {schema.get('type')} without a name")
    if "." in name:
        return name, name.rpartition(".")[0]
    space = schema.get("namespace", namespace)
    return (f"{space}.{name}" if space else name), space or None


def count_nodes(value: Any, limit: int = MAX_NODES) -> int:
    """Number of values in a decoded value, itself included; stops counting beyond `limit`."""
    count, waiting = 0, [value]
    while waiting and count <= limit:
        item = waiting.pop()
        count += 1
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return count
