"""A territory as its controller configures it: organisms, masters, clocks, pilot areas, measure types, code tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hub.rights.agreement import KINDS, Kind, Strict
from hub.sdk.numbers import NumberError, parse_siret

PartnerId = str
SENSITIVE = "sensitive"
"""What stands in the facts for every measure type marked sensitive: the type itself stays sealed."""


def siret_problem(value: str) -> str | None:
    """Why this is no SIRET, or None; the number itself is not secret and helps to find the line."""
    try:
        parse_siret(value)
    except NumberError as error:
        return f"siret {value!r}: {error}"
    return None


class Payer(Strict):
    """An organism that pays the RSA. `numorg` is text of three digits (leading zeros)."""

    fonorg: Literal["CAF", "MSA", "OPF"]
    numorg: str = Field(pattern=r"^[0-9]{3}$")
    label: str = ""


class Organism(Strict):
    """A code of the orientation vocabulary (FT, CD, DCD, ML, CE, IND) and the kind of organisation behind it."""

    code: str = Field(pattern=r"^[A-Z]{2,4}$")
    label: str
    kind: Kind | None = None


class Clock(Strict):
    """A legal delay: starts with a record, ends with another. `within` is "6 weeks", "1 month", "8 days"."""

    name: str
    starts_with: str
    ends_with: str
    within: str = Field(pattern=r"^[0-9]{1,3} (day|week|month)s?$")
    source: str


class PilotArea(Strict):
    """A dated list of INSEE communes; "*" is the whole territory. Without any area the whole territory takes part."""

    name: str
    start: date
    end: date | None = None
    communes: tuple[str, ...]

    @field_validator("communes")
    @classmethod
    def _codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            if code != "*" and not (len(code) == 5 and code.isascii() and code.isalnum()):
                raise ValueError(f'{code!r} is not an INSEE commune code of five characters, nor "*"')
        return codes

    def covers(self, commune: str | None, on: date) -> bool:
        """True when the commune (INSEE code, None = unknown) is in the area on that day."""
        if on < self.start or (self.end is not None and on > self.end):
            return False
        return "*" in self.communes or commune in self.communes


class MeasureType(Strict):
    """One row of ``measure_types.csv``. `may_be_sent_to` are the kinds that may be told of the measure, as addressee or
    by copy; `provider_kinds` those it may be addressed to; `valid_to` is the last day."""

    code: str = Field(pattern=r"^[a-z][a-z_]{1,40}$")
    label: str
    valid_from: date
    valid_to: date | None = None
    public: tuple[str, ...]
    provider_kinds: tuple[Kind, ...]
    sensitive: bool
    may_be_sent_to: tuple[Kind, ...]
    irreversible: bool
    expiry_days: int = Field(ge=1, le=366)
    funding_line: str | None = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        missing = sorted(set(self.provider_kinds) - set(self.may_be_sent_to))
        if missing:
            raise ValueError(f"{self.code}: provider_kinds {missing} must also be in may_be_sent_to")
        return self

    def valid(self, on: date) -> bool:
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


class Structure(Strict):
    """One row of ``structures.csv``: a structure's id in WebRSA, the hub partner that speaks for it, its SIRET."""

    webrsa_id: str = Field(pattern=r"^[0-9]{1,9}$")
    partner: PartnerId
    siret: str
    organism: str
    label: str

    @field_validator("siret")
    @classmethod
    def _siret(cls, value: str) -> str:
        if problem := siret_problem(value):
            raise ValueError(problem)
        return value


class Action(Strict):
    """One row of ``actions.csv``: the convention number of a positioning names the provider and the measure."""

    convention: str
    partner: PartnerId
    measure_type: str
    expiry_days: int = Field(ge=1, le=366)
    funding_line: str | None = None


class Crossing(Strict):
    """One row of ``crosswalk.csv``: the same orientation in the CASF's, France Travail's and WebRSA's words."""

    casf: Literal["pro", "socio_pro", "social"]
    france_travail: Literal["PED", "PSP", "PSO"]
    webrsa: Literal["EMPLOI", "SOCIOPRO", "SOCIAL"]
    label: str


class Territory(Strict):
    """Everything that ``hub territory apply FOLDER`` sets. `masters`: record → the kinds or partner ids that are the
    declared master of that flow; a record without an entry may come from whoever the routing table lets emit it."""

    id: str = Field(pattern=r"^(0[1-9]|[1-8][0-9]|9[0-5]|2[AB]|97[1-8]|69[DM])$")
    name: str
    timezone: str = "Europe/Paris"
    main_payer: Payer
    payers: tuple[Payer, ...]
    organisms: tuple[Organism, ...]
    masters: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    clocks: tuple[Clock, ...] = ()
    pilot_areas: tuple[PilotArea, ...] = ()
    measure_types: tuple[MeasureType, ...] = ()
    structures: tuple[Structure, ...] = ()
    actions: tuple[Action, ...] = ()
    crosswalk: tuple[Crossing, ...] = ()

    @model_validator(mode="after")
    def _holds(self) -> Self:
        problems = []
        if (self.main_payer.fonorg, self.main_payer.numorg) not in {
            (p.fonorg, p.numorg) for p in self.payers
        }:
            problems.append("main_payer is not among the payers")
        problems += _repeated("organisms", [o.code for o in self.organisms])
        problems += _repeated("measure_types", [f"{m.code} from {m.valid_from}" for m in self.measure_types])
        problems += _repeated("structures.csv: webrsa_id", [s.webrsa_id for s in self.structures])
        problems += _repeated("actions.csv: convention", [a.convention for a in self.actions])
        organisms = {organism.code for organism in self.organisms}
        problems += [
            f"structures.csv: webrsa_id {row.webrsa_id}: organism {row.organism!r} is not in territory.toml"
            for row in self.structures
            if row.organism not in organisms
        ]
        types = {measure.code for measure in self.measure_types}
        problems += [
            f"actions.csv: convention {row.convention}: measure_type {row.measure_type!r} is not in measure_types.csv"
            for row in self.actions
            if row.measure_type not in types
        ]
        problems += [
            f"crosswalk.csv: {column}: each code must stand once, found {sorted(codes)}"
            for column, codes in (
                (c, [getattr(row, c) for row in self.crosswalk]) for c in ("casf", "france_travail", "webrsa")
            )
            if len(set(codes)) != len(codes)
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def pilot_area(self, commune: str | None, on: date) -> str | None:
        """The name of the pilot area that the commune (INSEE code) belongs to on that day; None outside every one.

        A territory without areas takes part as a whole: its own name."""
        if not self.pilot_areas:
            return self.name
        return next((area.name for area in self.pilot_areas if area.covers(commune, on)), None)

    def measure_type(self, code: str, on: date) -> MeasureType | None:
        """The row of this type that is valid on that day."""
        return next((m for m in self.measure_types if m.code == code and m.valid(on)), None)

    @cached_property
    def sent_to(self) -> dict[str, frozenset[Kind]]:
        """Kinds that may be told of a measure type, over all its rows; the sensitive ones are not in it."""
        found: dict[str, frozenset[Kind]] = {}
        for row in self.measure_types:
            if not row.sensitive:
                found[row.code] = found.get(row.code, frozenset()) | frozenset(row.may_be_sent_to)
        return found

    @cached_property
    def codes(self) -> Mapping[str, Any]:
        """The code tables as connectors see them (``Context.codes``): JSON-like rows, keyed by their first column.

        structures by webrsa_id, actions by convention, measure_types by code (the newest row), organisms by code,
        crosswalk as a list of rows."""
        dumped = self.model_dump(mode="json")
        return {
            "structures": {row["webrsa_id"]: row for row in dumped["structures"]},
            "actions": {row["convention"]: row for row in dumped["actions"]},
            "measure_types": {
                row["code"]: row for row in sorted(dumped["measure_types"], key=lambda row: row["valid_from"])
            },
            "organisms": {row["code"]: row for row in dumped["organisms"]},
            "crosswalk": dumped["crosswalk"],
            "main_payer": dumped["main_payer"],
            "payers": dumped["payers"],
        }


def measure_refusal(
    territory: Territory, *, type: str | None, sensitive_type: str | None, addressee_kind: Kind, on: date
) -> str | None:
    """Why a MeasureRequested may not be accepted, or None. Exactly one of the two types is set, and which one is
    decided by measure_types.csv: a sensitive type in clear would show the person's health to every reader."""
    if (type is None) == (sensitive_type is None):
        return "measure_type_missing" if type is None else "measure_type_twice"
    row = territory.measure_type(type or sensitive_type or "", on)
    if row is None:
        return "measure_type_unknown"
    if row.sensitive != (sensitive_type is not None):
        return "measure_type_is_sensitive" if row.sensitive else "measure_type_is_not_sensitive"
    if addressee_kind not in row.provider_kinds:
        return "addressee_kind_not_allowed"
    return None


def _repeated(what: str, values: list[str]) -> list[str]:
    return [f"{what}: {value} stands twice" for value in sorted({v for v in values if values.count(v) > 1})]


def master_problems(territory: Territory, partners: set[PartnerId]) -> list[str]:
    """Masters that are neither a kind nor a known partner: nobody could emit that record."""
    return [
        f"masters.{record}: {name!r} is neither a kind ({', '.join(KINDS)}) nor a partner of the territory"
        for record, names in territory.masters.items()
        for name in names
        if name not in KINDS and name not in partners
    ]
