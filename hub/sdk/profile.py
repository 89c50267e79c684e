"""CSV profiles: which columns a partner's files have, in which order, encoding and words. Data, one TOML file each, so
that another layout of the same kind of system needs no code.

    encoding = "utf-8"      separator = ";"      dates = "%d/%m/%Y"
    [actions.entrants]
    columns = [{ header = "Nom", from = ["person.name", "person.birth_name"] }, …]
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from hub.sdk.codes import code_table
from hub.sdk.phones import national

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Column(_Strict):
    """One column. `from` are dotted paths ("person.phones", "person.address.lines.0"), the first with a value counts;
    none of them = the column stays empty, and `note` says why. `table` names a code table for format "code"."""

    header: str
    sources: tuple[str, ...] = Field(default=(), alias="from")
    format: Literal["text", "date", "phone", "yes_no", "code"] = "text"
    table: str | None = None
    join: str = " "
    note: str = ""


class Action(_Strict):
    """The columns of one kind of file, in order."""

    columns: tuple[Column, ...]


class Profile(_Strict):
    """`encoding` is "utf-8", "utf-8-sig" (with BOM) or "cp1252"; `dates` a strftime form; `source` says where the layout
    is from. `folder` holds the code tables that columns name."""

    source: str
    encoding: Literal["utf-8", "utf-8-sig", "cp1252"] = "utf-8"
    separator: str = Field(";", min_length=1, max_length=1)
    newline: Literal["\r\n", "\n"] = "\r\n"
    dates: str = "%Y-%m-%d"
    yes: str = "oui"
    no: str = "non"
    actions: dict[str, Action]
    folder: Path = Path()

    def row(self, action: str, values: Mapping[str, Any]) -> dict[str, str]:
        """One row, header → text, without its empty cells. Deterministic."""
        cells = ((c.header, self._cell(c, values)) for c in self.actions[action].columns)
        return {header: text for header, text in cells if text}

    def render(self, action: str, rows: Iterable[Mapping[str, str]]) -> bytes:
        """Rows, in order, with their header line. Cells are written as they are: what must be neutralised in a human's
        spreadsheet must reach a machine untouched. Raises ValueError for a row with a column that the profile lacks."""
        headers = [c.header for c in self.actions[action].columns]
        out = io.StringIO(newline="")
        writer = csv.DictWriter(
            out, headers, delimiter=self.separator, lineterminator=self.newline, strict=True
        )
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode(self.encoding)

    def _cell(self, column: Column, values: Mapping[str, Any]) -> str:
        found = next(
            (v for v in (at(values, path) for path in column.sources) if v not in (None, "", [], ())), None
        )
        if found is None:
            return ""
        if not isinstance(found, (list, tuple)):
            return self._text(column, found)
        return column.join.join(filter(None, (self._text(column, item) for item in found)))

    def _text(self, column: Column, value: Any) -> str:
        match column.format:
            case "date":
                text = self._date(value)
            case "phone":
                text = national(str(value))
            case "yes_no":
                text = self.yes if value else self.no
            case "code":
                text = code_table(self.folder / f"{column.table}.csv").to_partner(str(value)) or ""
            case _:
                text = value.isoformat() if isinstance(value, date) else str(value)
        return self._writable(_CONTROL.sub(" ", text).strip())

    def _date(self, value: Any) -> str:
        try:
            return (value if isinstance(value, date) else date.fromisoformat(str(value)[:10])).strftime(
                self.dates
            )
        except ValueError:
            return ""

    def _writable(self, text: str) -> str:
        """The text in the profile's encoding; a letter that it lacks loses its accent or becomes '?'."""
        if self.encoding != "cp1252":
            return text.encode("utf-8", "replace").decode("utf-8")
        return "".join(_in_cp1252(letter) for letter in text)


def at(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; a number picks from a list; None where the path ends early."""
    value: Any = values
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, Sequence) and not isinstance(value, str) and name.isdigit():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


def _in_cp1252(letter: str) -> str:
    for candidate in (letter, unicodedata.normalize("NFKD", letter)[0]):
        try:
            candidate.encode("cp1252")
            return candidate
        except UnicodeEncodeError:
            continue
    return "?"


def profile_of(settings: Mapping[str, Any], connector: Path) -> Profile:
    """The profile that a partner's settings name: `profile_table`, a whole profile inline, or `profile`, the name of a file
    in the connector's ``formats/``. Code tables are the connector's ``codes/``. Raises ValueError naming what is wrong."""
    table = settings.get("profile_table")
    if table:
        return _inline(msgspec.json.encode(table, order="deterministic"), connector / "codes")
    return load_profile(connector / "formats" / f"{settings['profile']}.toml", connector / "codes")


@cache
def load_profile(path: Path, codes: Path) -> Profile:
    """Read one profile file. Raises ValueError naming the file."""
    try:
        return _checked(tomllib.loads(path.read_text(encoding="utf-8")), codes)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error


@lru_cache(maxsize=256)
def _inline(table: bytes, codes: Path) -> Profile:
    try:
        return _checked(msgspec.json.decode(table), codes)
    except ValueError as error:
        raise ValueError(f"profile_table: {error}") from error


def _checked(document: dict[str, Any], codes: Path) -> Profile:
    profile = Profile.model_validate({**document, "folder": codes})
    for action, layout in profile.actions.items():
        headers = [c.header for c in layout.columns]
        if len(set(headers)) != len(headers):
            raise ValueError(f"actions.{action}: a header stands twice")
        for column in layout.columns:
            if (column.format == "code") != (column.table is not None):
                raise ValueError(f"actions.{action}: {column.header}: format code and a table go together")
            if column.table is not None:
                code_table(codes / f"{column.table}.csv")
    return profile
