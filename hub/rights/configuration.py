"""The one configuration document of a territory: who takes part, under which agreements, by which tables.

Each applied change makes a new immutable version; routing and claims read a version, never files.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cached_property
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from hub.rights.agreement import Agreement, Kind, Strict, agreement_problems, defaults, overlaps
from hub.rights.territory import Territory, master_problems, siret_problem

_Id = r"^[a-z0-9][a-z0-9-]{0,30}$"
_Value = TypeVar("_Value")


class ConfigurationError(ValueError):
    """The configuration does not hold; nothing was applied. `problems` name file and key, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Organisation(Strict):
    """A legal person (SIRET) of one kind. Agreements and *own event* are the organisation's, not its systems'."""

    id: str = Field(pattern=_Id)
    siret: str
    kind: Kind
    name: str = Field(min_length=1)

    @field_validator("siret")
    @classmethod
    def _siret(cls, value: str) -> str:
        if problem := siret_problem(value):
            raise ValueError(problem)
        return value


class Partner(Strict):
    """One system of an organisation. `id` is opaque: it stands in topics and headers, where a name could reveal health.

    `settings` are those of the connector's manifest; `secrets` are references (``env:NAME``, ``file:PATH``,
    ``sealed:…``), never values. A removed partner stays in the document: its id is never used again.
    """

    id: str = Field(pattern=_Id)
    organisation: str
    connector: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    settings: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    backfill: Literal["none"] = "none"
    removed_on: date | None = None

    @field_validator("secrets")
    @classmethod
    def _references(cls, secrets: dict[str, str]) -> dict[str, str]:
        for name, reference in secrets.items():
            scheme, _, rest = reference.partition(":")
            if scheme not in ("env", "file", "sealed") or not rest:
                raise ValueError(
                    f'{name}: write where the secret is kept ("env:NAME", "file:PATH" or "sealed:…"), not the secret'
                )
        return secrets

    def active(self, on: date) -> bool:
        """False from the day of removal on."""
        return self.removed_on is None or on < self.removed_on


class Partners(Strict):
    """What a partners file (``hub partner apply FILE``) sets: entries are added or replaced by id, none is taken away."""

    territory: str
    organisations: tuple[Organisation, ...] = ()
    partners: tuple[Partner, ...] = ()
    agreements: tuple[Agreement, ...] = ()


class Configuration(Strict):
    """One immutable version of a territory's configuration; JSON both ways by ``document()`` and ``model_validate``."""

    territory: Territory
    organisations: tuple[Organisation, ...] = ()
    partners: tuple[Partner, ...] = ()
    agreements: tuple[Agreement, ...] = ()

    @model_validator(mode="after")
    def _holds(self) -> Self:
        kinds = {organisation.id: organisation.kind for organisation in self.organisations}
        problems = [
            f"{what}: {name} stands twice"
            for what, names in (
                ("organisations", [o.id for o in self.organisations]),
                ("partners", [p.id for p in self.partners]),
                ("agreements", [a.id for a in self.agreements]),
            )
            for name, count in Counter(names).items()
            if count > 1
        ]
        problems += [
            f"partner {partner.id}: organisation {partner.organisation!r} is not declared"
            for partner in self.partners
            if partner.organisation not in kinds
        ]
        for agreement in self.agreements:
            if agreement.organisation not in kinds:
                problems.append(
                    f"agreement {agreement.id}: organisation {agreement.organisation!r} is not declared"
                )
            else:
                problems += agreement_problems(agreement, kinds[agreement.organisation])
        problems += overlaps(self.agreements)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def document(self) -> dict[str, Any]:
        """The JSON document of this version (column ``configuration.document``)."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical document: equal configurations have equal digests."""
        canonical = json.dumps(self.document(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def memo(self, key: str, build: Callable[[Configuration], _Value]) -> _Value:
        """What is computed once per configuration (routing plans); the configuration itself never changes."""
        kept = self.kept
        if key not in kept:
            kept[key] = build(self)
        return kept[key]

    @cached_property
    def kept(self) -> dict[str, Any]:
        """Where `memo` keeps its values."""
        return {}

    def partner(self, partner: str) -> Partner | None:
        """The partner of this id, removed ones included."""
        return self.memo("partner", lambda c: {p.id: p for p in c.partners}).get(partner)

    def organisation(self, organisation: str) -> Organisation | None:
        return self.memo("organisation", lambda c: {o.id: o for o in c.organisations}).get(organisation)

    def organisation_of(self, partner: str) -> Organisation | None:
        """The organisation behind a partner."""
        known = self.partner(partner)
        return self.organisation(known.organisation) if known else None

    def kind_of(self, partner: str) -> Kind | None:
        organisation = self.organisation_of(partner)
        return organisation.kind if organisation else None

    def agreements_for(self, organisation: str, record: str) -> tuple[Agreement, ...]:
        """All agreements of the organisation that name the record, past and future ones included."""
        return self.memo("agreements", _by_record).get((organisation, record), ())

    def agreement(self, partner: str, record: str, on: date) -> Agreement | None:
        """The agreement in force that day under which this partner receives the record; at most one by validation."""
        organisation = self.organisation_of(partner)
        if organisation is None:
            return None
        return next((a for a in self.agreements_for(organisation.id, record) if a.in_force(on)), None)


def _by_record(configuration: Configuration) -> dict[tuple[str, str], tuple[Agreement, ...]]:
    found: dict[tuple[str, str], tuple[Agreement, ...]] = {}
    for agreement in configuration.agreements:
        for record in agreement.records:
            key = (agreement.organisation, record)
            found[key] = (*found.get(key, ()), agreement)
    return found


def combine(current: Configuration | None, document: Territory | Partners) -> Configuration:
    """The next version: a territory file replaces the territory's part, a partners file adds or replaces entries by id.

    Pure. Raises ConfigurationError: partners before their territory, another territory, a partner that changes its
    organisation or comes back after its removal (a partner id is never used again), or an inconsistent whole.
    """
    if isinstance(document, Territory):
        if current is not None and current.territory.id != document.id:
            raise ConfigurationError(
                [f"this configuration is of territory {current.territory.id}, not {document.id}"]
            )
        whole = {
            "territory": document,
            "organisations": current.organisations if current else (),
            "partners": current.partners if current else (),
            "agreements": current.agreements if current else (),
        }
    else:
        if current is None or current.territory.id != document.territory:
            raise ConfigurationError(
                [f"territory {document.territory} is not configured: run `hub territory apply` first"]
            )
        if problems := list(_changed_identity(current, document)):
            raise ConfigurationError(problems)
        whole = {
            "territory": current.territory,
            "organisations": _merged(current.organisations, document.organisations),
            "partners": _merged(current.partners, document.partners),
            "agreements": _merged(current.agreements, document.agreements),
        }
    try:
        return Configuration(**whole)
    except ValidationError as error:
        raise ConfigurationError(list(sentences(error))) from error


def _changed_identity(current: Configuration, document: Partners) -> Iterator[str]:
    for new in document.partners:
        old = current.partner(new.id)
        if old is None:
            continue
        if old.organisation != new.organisation:
            yield f"partner {new.id}: belongs to {old.organisation}; give {new.organisation} a partner id of its own"
        if old.removed_on is not None and new.removed_on != old.removed_on:
            yield f"partner {new.id}: was removed on {old.removed_on}; a partner id is never used again"


def _merged(old: Iterable[Any], new: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({entry.id: entry for entry in (*old, *new)}.values())


def doubts(configuration: Configuration, today: date) -> list[str]:
    """What holds but is probably not meant, one sentence each; printed by ``apply``, it stops nothing."""
    known = {partner.id for partner in configuration.partners}
    territory = configuration.territory
    if not known:
        return ["there is no partner yet: add them with `hub partner apply`"]
    found = master_problems(territory, known)
    found += [
        f"{table}.csv: {getattr(row, key)}: partner {row.partner} is not declared"
        for table, key, rows in (
            ("structures", "webrsa_id", territory.structures),
            ("actions", "convention", territory.actions),
        )
        for row in rows
        if row.partner not in known
    ]
    for partner in configuration.partners:
        kind = configuration.kind_of(partner.id)
        if (
            kind
            and defaults(kind)
            and partner.active(today)
            and not any(
                a.organisation == partner.organisation and a.in_force(today) for a in configuration.agreements
            )
        ):
            found.append(f"partner {partner.id}: no agreement is in force on {today}: it receives nothing")
    found += [f"agreement {a.id}: ended on {a.end}" for a in configuration.agreements if a.end < today]
    sensitive = {row.code for row in territory.measure_types if row.sensitive}
    for action in territory.actions:
        agreement = configuration.agreement(action.partner, "MeasureRequested", today)
        if action.measure_type in sensitive and (agreement is None or agreement.article9 is None):
            found.append(
                f"actions.csv: {action.convention}: {action.measure_type} is sensitive and {action.partner} has no agreement "
                "with an article 9 basis: its requests are withheld"
            )
    return found


def sentences(error: ValidationError) -> Iterator[str]:
    """One sentence per problem, each naming its key; rows are counted from 1."""
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        yield from (f"{place}: {part}" if place else part for part in text.split("; "))
