"""Writes hub/log/models.py: one frozen pydantic model per record in its open form (blocks as nested models).

The `.avsc` files are the contract; the models are how Python producers, the HTTP door and the documentation speak it.
Enums lack the reserved symbol UNKNOWN, which no producer sets. CI checks that the output is current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hub.log.limits import BadSchema
from hub.log.registry import FileRegistry
from hub.log.schema import RecordSchema
from hub.log.writer import MAX_TEXT

OUTPUT = Path(__file__).with_name("models.py")

HEAD = '''"""Contracts as pydantic models, in their open form. Generated from schemas/ by `hub schema build`: do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length={MAX_TEXT})]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class Part(BaseModel):
    """Strict: unknown fields and near types are refused; error texts never hold the value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Event(Part):
    """A record that a producer may publish; from JSON use `model_validate_json`."""

    RECORD: ClassVar[str]
    VERSION: ClassVar[int]
'''

SCALARS = {"string": "Text", "boolean": "bool", "int": "Int32", "long": "Int64", "bytes": "bytes"}
LOGICAL = {"date": "date", "timestamp-millis": "AwareDatetime", "uuid": "UUID"}


def generate(registry: FileRegistry) -> str:
    """The text of models.py for the newest version of every record. Raises BadSchema naming what it cannot say."""
    writer = _Writer()
    for record in registry.records():
        writer.event(registry.get(record))
    table = "\n".join(f'    "{record}": {record},' for record in registry.records())
    return "\n\n".join(
        [
            HEAD.replace("{MAX_TEXT}", str(MAX_TEXT)),
            *writer.classes,
            f"RECORDS: dict[str, type[Event]] = {{\n{table}\n}}\n",
        ]
    )


class _Writer:
    """Collects classes, those that others need first."""

    def __init__(self) -> None:
        self.classes: list[str] = []
        self.names: dict[str, str] = {}  # class name → full name of its schema

    def event(self, schema: RecordSchema) -> None:
        """Add a record's class and all that it needs."""
        lines = [
            f'RECORD: ClassVar[str] = "{schema.record}"',
            f"VERSION: ClassVar[int] = {schema.version}",
            "",
        ]
        self._record(schema.definition, "Event", lines)

    def _named(self, schema: dict[str, Any]) -> str:
        """The class of a record or enum; a second schema under one short name is refused."""
        name, full = schema["name"], f"{schema['namespace']}.{schema['name']}"
        known = self.names.setdefault(name, full)
        if known != full:
            raise BadSchema(f"{full} and {known} would be one class: give one another name")
        return name

    def _record(self, schema: dict[str, Any], base: str, first: list[str]) -> str:
        name = schema["name"]
        if name in self.names:
            return self._named(schema)
        body = [self._field(field) for field in schema["fields"]]
        self._named(schema)
        lines = [_docstring(schema), "", *first, *body] if body else [_docstring(schema), *first]
        self.classes.append(
            f"class {name}({base}):\n" + "\n".join(f"    {line}".rstrip() for line in lines) + "\n"
        )
        return name

    def _enum(self, schema: dict[str, Any]) -> str:
        name = schema["name"]
        if name not in self.names:
            symbols = [s for s in schema["symbols"] if s != schema.get("default")]
            lines = [_docstring(schema), "", *(f'{symbol} = "{symbol}"' for symbol in symbols)]
            self.classes.append(
                f"class {name}(StrEnum):\n" + "\n".join(f"    {line}".rstrip() for line in lines) + "\n"
            )
        return self._named(schema)

    def _field(self, field: dict[str, Any]) -> str:
        nullable = isinstance(field["type"], list)
        if "spie.block" in field:
            text = self._type(field["spie.block"]) + (" | None" if nullable else "")
        else:
            text = self._type(field["type"])
        arguments = []
        if "default" in field:
            arguments.append(f"default={self._default(field)}")
        for key, argument in (("spie.min", "min_length"), ("spie.max", "max_length")):
            if key in field:
                arguments.append(f"{argument}={field[key]}")
        if "spie.pattern" in field:
            arguments.append(f"pattern={field['spie.pattern']!r}")
        arguments.append(f"description={json.dumps(field['doc'], ensure_ascii=False)}")
        return f"{field['name']}: {text} = Field({', '.join(arguments)})"

    def _default(self, field: dict[str, Any]) -> str:
        value, schema = field["default"], field["type"]
        if isinstance(value, dict):
            return f"{self._type(schema)}({', '.join(f'{k}={v!r}' for k, v in value.items())})"
        return repr(value)

    def _type(self, schema: Any) -> str:
        if isinstance(schema, list):
            inner = [self._type(branch) for branch in schema if branch != "null"]
            return " | ".join([*inner, *(["None"] if "null" in schema else [])])
        if isinstance(schema, str):
            return SCALARS.get(schema) or schema.rpartition(".")[2]
        kind = schema["type"]
        if kind == "array":
            return f"list[{self._type(schema['items'])}]"
        if kind == "record":
            return self._record(schema, "Part", [])
        if kind == "enum":
            return self._enum(schema)
        text = LOGICAL.get(schema.get("logicalType", ""), SCALARS.get(kind))
        if text is None:
            raise BadSchema(f"no Python type for {kind}")
        return text


def _docstring(schema: dict[str, Any]) -> str:
    text = schema["doc"].replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{text}"""'


def write_models(registry: FileRegistry, path: Path) -> bool:
    """Write models.py; returns whether it changed. Idempotent."""
    text = generate(registry)
    if is_current(registry, path):
        return False
    path.write_text(text, encoding="utf-8")
    return True


def is_current(registry: FileRegistry, path: Path) -> bool:
    """Whether models.py is what the schemas give."""
    return path.exists() and path.read_text(encoding="utf-8") == generate(registry)
