"""Code tables: CSV files that translate a partner's codes into the hub's and back, each with its source.

A table's first lines are comments, one of them ``# source: …``. Columns: `theirs`, `ours`, and as needed `label`,
`valid_from`, `valid_to` (ISO dates, both included) and others. Several rows may share a code; towards the hub the rows'
`theirs` must be unambiguous on any day, towards the partner the first valid row of an `ours` counts.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path

UNKNOWN = "UNKNOWN"
"""What every enum of the hub's records has for a code that nobody has mapped; the raw code is kept beside it."""


@dataclass(frozen=True, slots=True)
class Code:
    """A partner's code in the hub's word. `raw` is what the partner wrote; `ours` is UNKNOWN when no row is valid."""

    ours: str
    raw: str

    @property
    def known(self) -> bool:
        return self.ours != UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `more` holds the columns that are not named here."""

    theirs: str
    ours: str
    label: str = ""
    valid_from: date = date.min
    valid_to: date = date.max
    more: Mapping[str, str] = field(default_factory=dict)

    def valid(self, on: date) -> bool:
        return self.valid_from <= on <= self.valid_to


class CodeTable:
    """Both ways through one table. Without a day, any row counts, whatever its dates."""

    def __init__(self, name: str, source: str, rows: tuple[Row, ...]) -> None:
        self.name, self.source, self.rows = name, source, rows
        self._by_theirs: dict[str, list[Row]] = {}
        self._by_ours: dict[str, list[Row]] = {}
        for row in rows:
            self._by_theirs.setdefault(row.theirs, []).append(row)
            self._by_ours.setdefault(row.ours, []).append(row)
        for code, same in self._by_theirs.items():
            for first, second in _pairs(same):
                if (
                    first.ours != second.ours
                    and first.valid_from <= second.valid_to
                    and second.valid_from <= first.valid_to
                ):
                    raise ValueError(
                        f"{name}: theirs {code!r} means both {first.ours!r} and {second.ours!r} on some day"
                    )

    def to_hub(self, raw: str, on: date | None = None) -> Code:
        """The hub's word; surrounding blanks do not count, case does."""
        row = self._first(self._by_theirs.get(raw.strip(), []), on)
        return Code(row.ours if row else UNKNOWN, raw)

    def to_partner(self, ours: str, on: date | None = None) -> str | None:
        """The partner's code, or None: then there is nothing to tell, never a guess."""
        row = self._first(self._by_ours.get(ours, []), on)
        return row.theirs if row else None

    @staticmethod
    def _first(rows: list[Row], on: date | None) -> Row | None:
        return next((row for row in rows if on is None or row.valid(on)), None)


def _pairs(rows: list[Row]) -> list[tuple[Row, Row]]:
    return [(first, second) for index, first in enumerate(rows) for second in rows[index + 1 :]]


@cache
def code_table(path: Path) -> CodeTable:
    """Read one CSV (UTF-8, commas). Raises ValueError naming file and line when it does not hold; it is read once."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    source = next(
        (line.removeprefix("source:").strip() for line in comments if line.startswith("source:")), ""
    )
    if not source:
        raise ValueError(f"{path}: a code table says where it comes from: add a line '# source: …'")
    numbered = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
    ]
    reader = csv.DictReader((line for _, line in numbered), strict=True)
    rows = []
    for (number, _), cells in zip(numbered[1:], reader, strict=True):
        if None in cells or None in cells.values() or not cells.get("ours") or cells.get("theirs") is None:
            raise ValueError(f"{path}:{number}: needs one cell per column, and `theirs` and `ours`")
        try:
            rows.append(_row(cells))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    return CodeTable(path.stem, source, tuple(rows))


def _row(cells: dict[str, str]) -> Row:
    known = {"theirs", "ours", "label", "valid_from", "valid_to"}
    return Row(
        cells["theirs"].strip(),
        cells["ours"].strip(),
        (cells.get("label") or "").strip(),
        date.fromisoformat(cells["valid_from"]) if cells.get("valid_from") else date.min,
        date.fromisoformat(cells["valid_to"]) if cells.get("valid_to") else date.max,
        {name: value for name, value in cells.items() if name not in known},
    )
