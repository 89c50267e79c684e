"""What an import says about a file: counts, places and names of fields, no personal data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

MOST_OF_ONE_CODE = 1000
"""Warnings of one code beyond this number are summed up."""


@dataclass(frozen=True, slots=True)
class Item:
    """One event. `line` is that of the record's start tag, `household` its ordinal; `fields` what it says, by name."""

    line: int | None
    household: int
    record: str
    rules: list[str]
    fields: list[str]


@dataclass(frozen=True, slots=True)
class RejectLine:
    """A record that was not taken."""

    line: int | None
    household: int
    reason: str
    field: str | None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something odd that stopped nothing."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Records that the file's trailer declares (None: it does not say), and records read."""

    declared: int | None
    declared_anomalies: int | None
    read: int


class ImportReport(BaseModel):
    """The object that `hub import … --json` prints. `households` are records read = processed + rejected; `adults` the
    distinct persons in processed records, with or without rights. `outcomes` (not printed) gives each person read one
    outcome: read = entrant + changed + unchanged + stock + duplicate + refused + dropped adults."""

    file: str
    sha256: str
    territory: str
    payers: list[dict[str, Any]] = Field(default_factory=list)
    households: int = 0
    adults: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    events: dict[str, int] = Field(default_factory=dict)
    items: list[Item] = Field(default_factory=list)
    rejects: list[RejectLine] = Field(default_factory=list)
    warnings: list[Warned] = Field(default_factory=list)
    totals: Totals = Totals(None, None, 0)
    outcomes: dict[str, int] = Field(default_factory=dict, exclude=True)
