"""Configuration as files: a territory's folder and a partners file; what does not hold names file, line and key."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub.rights.configuration import ConfigurationError, Partners, sentences
from hub.rights.territory import Territory

#: Columns of the territory's tables that hold several values, separated by blanks.
_LISTS = {"public", "provider_kinds", "may_be_sent_to"}
TABLES = ("measure_types", "structures", "actions", "crosswalk")


def load_territory(folder: Path) -> Territory:
    """Read ``territory.toml`` and its tables. Raises ConfigurationError naming file, line and key."""
    document = _toml(folder / "territory.toml")
    lines: dict[str, list[int]] = {}
    for table in TABLES:
        if table in document:
            raise ConfigurationError([f"{folder / 'territory.toml'}: {table}: belongs into {table}.csv"])
        path = folder / f"{table}.csv"
        if path.exists():
            rows = _table(path)
            document[table] = [row for _, row in rows]
            lines[table] = [line for line, _ in rows]
    try:
        return Territory.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError([_placed(folder, lines, s) for s in sentences(error)]) from error


def load_partners(path: Path) -> Partners:
    """Read a partners file. Raises ConfigurationError naming file and key."""
    try:
        return Partners.model_validate(_toml(path))
    except ValidationError as error:
        raise ConfigurationError([f"{path}: {sentence}" for sentence in sentences(error)]) from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read ({error.strerror})"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: {error}"]) from error


def _table(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Rows of a table with their line: commas, UTF-8, with or without BOM; lines starting with # are comments, empty cells
    are absent. Raises ConfigurationError for a row with more or fewer cells than the header."""
    kept = [
        (number, line)
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    cells = list(csv.reader((line for _, line in kept), strict=True))
    if not cells:
        return []
    header = [name.strip() for name in cells[0]]
    rows = []
    for (number, _), row in zip(kept[1:], cells[1:], strict=True):
        if len(row) != len(header):
            raise ConfigurationError([f"{path}: line {number}: {len(row)} cells under {len(header)} columns"])
        pairs = zip(header, (cell.strip() for cell in row), strict=True)
        rows.append((number, {c: v.split() if c in _LISTS else v for c, v in pairs if v or c in _LISTS}))
    return rows


def _placed(folder: Path, lines: Mapping[str, list[int]], sentence: str) -> str:
    """Name file and line that a key comes from: "measure_types.2.code: …" is the second row of measure_types.csv."""
    table, _, rest = sentence.partition(".")
    row, _, rest = rest.partition(".")
    if table in lines and row.isdigit():
        return f"{folder / f'{table}.csv'}: line {lines[table][int(row) - 1]}: {rest}"
    return f"{folder / 'territory.toml'}: {sentence}"
