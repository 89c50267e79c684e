"""What an organisation may receive: its kind's default of each record, narrowed by a dated agreement, never widened."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Kind = Literal["caf", "departement", "france_travail", "mission_locale", "structure", "employer"]
"""An organisation's kind; it, not the connector, picks the column of the routing table (events.md)."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_DEFAULTS = Path(__file__).parent / "defaults"


class Strict(BaseModel):
    """Base of everything in the configuration: frozen, and an unknown key is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __copy__(self) -> Self:
        """A copy computes its cached properties anew: ``model_copy(update=…)`` is another configuration."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


PROTECTED = frozenset({"person.address", "person.phones", "appointment.place", "place"})
"""What no recipient gets of a protected person, whatever connector, default or agreement say (events.md, *view*)."""


class Default(Strict):
    """What a kind of organisation may at most receive of one record (``defaults/<kind>.toml``).

    `fields` are paths of the record ("channel", "person.birth_name"); a path stands for all that is below it.
    `legal_duty`: sent under a legal obligation (RGPD 6(1)(c)), so an objection does not stop it.
    `health`: fields that additionally need an agreement with an article 9 basis.
    """

    fields: tuple[str, ...]
    purpose: str
    legal_basis: str
    legal_duty: bool = False
    health: tuple[str, ...] = ()

    @field_validator("fields", "health")
    @classmethod
    def _fine_enough(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            below = sorted(hidden for hidden in PROTECTED if hidden.startswith(path + "."))
            if below:
                raise ValueError(
                    f"{path!r}: name its fields one by one, {below} must stay separable from them"
                )
        return paths


@cache
def defaults(kind: Kind) -> dict[str, Default]:
    """The kind's default by record; ``@group`` in a list stands for that group of the file.

    Raises ValueError naming the file when it does not hold."""
    path = _DEFAULTS / f"{kind}.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        groups = document.get("groups", {})
        return {
            record: Default.model_validate(entry | {"fields": _expanded(entry.get("fields", ()), groups)})
            for record, entry in document.get("records", {}).items()
        }
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error


def _expanded(fields: Iterable[str], groups: dict[str, list[str]]) -> list[str]:
    return [path for name in fields for path in (groups[name[1:]] if name.startswith("@") else [name])]


class Agreement(Strict):
    """Purpose, legal basis, records and **end** under which an organisation receives.

    `records` are received with the kind's default fields; `narrow` names fewer fields for some of them. `end` is the
    last day. `article9` is the legal basis for HEALTH fields (RGPD art. 9), without which none leaves.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    organisation: str
    records: tuple[str, ...]
    narrow: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    purpose: str = Field(min_length=10)
    legal_basis: str = Field(min_length=4)
    article9: str | None = None
    start: date
    end: date
    case_number: str = Field(min_length=1)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"agreement {self.id}: end {self.end} is before start {self.start}")
        unknown = sorted(set(self.narrow) - set(self.records))
        if unknown:
            raise ValueError(f"agreement {self.id}: narrow names {unknown}, which `records` does not")
        return self

    def in_force(self, on: date) -> bool:
        """True from start to end, both days included."""
        return self.start <= on <= self.end

    def narrowing(self, record: str) -> tuple[str, ...] | None:
        """The fields left of this record, or None when the kind's default is not narrowed."""
        return self.narrow.get(record)


def covers(wider: Iterable[str], path: str) -> bool:
    """True when `path` or a path above it is in `wider`: "person" covers "person.birth_name"."""
    known = wider if isinstance(wider, (set, frozenset)) else set(wider)
    while path not in known:
        path, dot, _ = path.rpartition(".")
        if not dot:
            return False
    return True


def common(first: Iterable[str], second: Iterable[str]) -> frozenset[str]:
    """What two sets of paths both allow: of a path and one below it, the lower one; nothing is named twice."""
    left, right = frozenset(first), frozenset(second)
    found = {path for path in left if covers(right, path)} | {path for path in right if covers(left, path)}
    return frozenset(path for path in found if not covers(found, path.rpartition(".")[0]))


def agreement_problems(agreement: Agreement, kind: Kind) -> list[str]:
    """Why an agreement does not fit its organisation's kind: an organisation can only narrow the kind's default."""
    known, problems = defaults(kind), []
    for record in agreement.records:
        if record not in known:
            problems.append(f"agreement {agreement.id}: records: a {kind} never receives {record}")
            continue
        allowed = {*known[record].fields, *known[record].health}
        problems += [
            f"agreement {agreement.id}: narrow.{record}: {path!r} is not in the default of {kind}, and an agreement"
            " can only narrow it"
            for path in agreement.narrowing(record) or ()
            if not covers(allowed, path)
        ]
    return problems


def overlaps(agreements: Iterable[Agreement]) -> list[str]:
    """Two agreements of one organisation for one record on the same day would leave open which fields are allowed."""
    problems, seen = [], {}
    for agreement in sorted(agreements, key=lambda a: (a.organisation, a.start, a.id)):
        for record in agreement.records:
            earlier = seen.get((agreement.organisation, record))
            if earlier and agreement.start <= earlier.end:
                problems.append(
                    f"agreement {agreement.id}: {record} is already covered by {earlier.id} until {earlier.end}; "
                    "end that one first"
                )
            if not earlier or agreement.end > earlier.end:
                seen[agreement.organisation, record] = agreement
    return problems
