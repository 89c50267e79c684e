"""Whom an event concerns and what each gets: `route(facts, configuration)`, pure, from ``route.toml`` and nothing else.

The verdict of a routed event can be computed again at any time from what accept stored (protocol.md §8 c), so nothing
here reads a clock, the database or whether something was delivered.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hub.rights.agreement import Agreement, Default, Kind, defaults
from hub.rights.configuration import Configuration
from hub.rights.facts import Facts, Relation
from hub.rights.territory import SENSITIVE

__all__ = [
    "HUB",
    "ROUTE_VERSION",
    "Erase",
    "Facts",
    "Reason",
    "Relation",
    "Routed",
    "Send",
    "Verdict",
    "Withhold",
    "allowed",
    "may_emit",
    "route",
    "table",
]

ROUTE_VERSION = 1
"""Raised when the same facts and configuration may give other rows; the release then proves all rows under the old
engine first (protocol.md §8 c). Defaults of kinds and route.toml belong to the engine."""

HUB = "hub"
"""Emitter and organisation of the records that the hub itself makes."""

Reason = Literal[
    "own_event",
    "no_agreement",
    "objection",
    "restricted",
    "sensitive_measure",
    "before_pilot_date",
    "expired",
    "nothing_to_say",
    "less_than_stored",
    "partner_removed",
]
"""The closed list of withheld reasons; one sentence each in route.toml."""


@dataclass(frozen=True, slots=True)
class Send:
    """The partner gets it: waiting."""


@dataclass(frozen=True, slots=True)
class Withhold:
    """The event concerns the partner, and it does not get it: withheld(reason)."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Erase:
    """The event concerns the partner, and its person is being erased: erased."""


Verdict = Send | Withhold | Erase


class Routed(NamedTuple):
    """One delivery to insert."""

    partner: str
    verdict: Verdict

    @property
    def reason(self) -> Reason | None:
        """Why it is withheld, else None."""
        return self.verdict.reason if isinstance(self.verdict, Withhold) else None


@dataclass(frozen=True, slots=True)
class Row:
    """A record's row of route.toml: `emit` kind → condition, `to` kind → conditions of which one is enough."""

    emit: Mapping[str, str]
    to: Mapping[str, frozenset[str]]
    hub: bool = False
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """route.toml, read. `reasons` and `refusals` hold one sentence per code for the person who asks why, `conditions` the
    words for when a partner is concerned."""

    conditions: Mapping[str, str]
    records: Mapping[str, Row]
    reasons: Mapping[str, str]
    refusals: Mapping[str, str]


@cache
def table() -> Table:
    """The routing table. Raises ValueError when a row uses a condition that is not listed."""
    path = Path(__file__).with_name("route.toml")
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = {}
    for record, entry in document["records"].items():
        emit = _column(entry.get("emit", {}))
        to = {kind: frozenset(tests) for kind, tests in _column(entry.get("to", {})).items()}
        unknown = {test for tests in to.values() for test in tests} - document["conditions"].keys()
        unknown |= set(emit.values()) - {"always", "addressed", "referent", "own"}
        if unknown:
            raise ValueError(f"{path}: records.{record}: unknown conditions {sorted(unknown)}")
        rows[record] = Row(emit, to, entry.get("hub", False), entry.get("notice", False))
    return Table(document["conditions"], rows, document["reasons"], document["refusals"])


def _column(entry: dict[str, Any]) -> dict[str, Any]:
    """An employer is routed like a structure."""
    return entry | ({"employer": entry["structure"]} if "structure" in entry else {})


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One partner's column of one record, prepared once per configuration."""

    partner: str
    organisation: str
    kind: Kind
    tests: frozenset[str]
    agreements: tuple[Agreement, ...]
    default: Default | None
    notice: bool
    removed_on: date | None
    send: Routed
    erase: Routed


@dataclass(frozen=True, slots=True)
class _Plan:
    """A record's columns: `always` are looked at for every event, the others only when the facts name their partner."""

    columns: Mapping[str | None, _Column]
    always: tuple[_Column, ...]
    copies: Mapping[str, tuple[_Column, ...]]
    partitioned: bool


def _plans(configuration: Configuration) -> dict[str, _Plan]:
    plans = {}
    sent_to = configuration.territory.sent_to
    for record, row in table().records.items():
        columns = {}
        for partner in configuration.partners:
            organisation = configuration.organisation(partner.organisation)
            tests = row.to.get(organisation.kind) if organisation else None
            if organisation and tests:
                columns[partner.id] = _Column(
                    partner.id,
                    organisation.id,
                    organisation.kind,
                    tests,
                    configuration.agreements_for(organisation.id, record),
                    defaults(organisation.kind).get(record),
                    row.notice,
                    partner.removed_on,
                    Routed(partner.id, Send()),
                    Routed(partner.id, Erase()),
                )
        copying = [column for column in columns.values() if "measure_copy" in column.tests]
        plans[record] = _Plan(
            columns,
            tuple(column for column in columns.values() if "always" in column.tests),
            {code: tuple(c for c in copying if c.kind in kinds) for code, kinds in sent_to.items()},
            bool(configuration.territory.pilot_areas),
        )
    return plans


def route(facts: Facts, configuration: Configuration) -> tuple[Routed, ...]:
    """One verdict per concerned partner, by partner id; a partner that is not concerned is absent.

    Pure and deterministic. Another territory's event, or a record without recipients, concerns nobody."""
    plan = configuration.memo("plans", _plans).get(facts.record)
    if plan is None or facts.territory != configuration.territory.id:
        return ()
    on = facts.accepted_on
    concerned = list(plan.always)
    if facts.measure_type is not None:
        concerned += plan.copies.get(facts.measure_type, ())
    named = {facts.addressee, facts.structure, *facts.parties, *[relation[0] for relation in facts.relations]}
    for partner in named:
        column = plan.columns.get(partner)
        if column is not None and column not in concerned and _named(column, facts):
            concerned.append(column)
    routed = [
        _verdict(column, facts, plan, on)
        for column in concerned
        if column.removed_on is None or on < column.removed_on
    ]
    routed.sort(key=_partner)
    return tuple(routed)


_partner = itemgetter(0)


def allowed(facts: Facts, configuration: Configuration, partner: str, on: date) -> Routed:
    """The verdict of this moment for a partner that an event concerned (the claim's reading of rights, protocol.md §4).

    Whom an event concerned is fixed when it is routed, so only the verdict is taken anew: pass the configuration in force,
    the day, and facts with the person's present `restricted`, `objections` and `erasing`."""
    plan = configuration.memo("plans", _plans).get(facts.record)
    column = plan.columns.get(partner) if plan else None
    if plan is None or column is None or (column.removed_on is not None and on >= column.removed_on):
        return Routed(partner, Withhold("partner_removed"))
    return _verdict(column, facts, plan, on)


def _named(column: _Column, facts: Facts) -> bool:
    """True when one of the column's conditions on what the facts name holds."""
    partner, tests = column.partner, column.tests
    if partner == facts.addressee and "addressed" in tests:
        return True
    if partner == facts.structure and (
        "structure" in tests or ("structure_as_ML" in tests and facts.organism == "ML")
    ):
        return True
    if partner in facts.parties and "party" in tests:
        return True
    return not tests.isdisjoint([kind for name, kind, _ in facts.relations if name == partner])


def _verdict(column: _Column, facts: Facts, plan: _Plan, on: date) -> Routed:
    reason = _withheld(column, facts, plan, on)
    if reason is not None:
        return Routed(column.partner, Withhold(reason))
    return column.erase if facts.erasing and facts.record != "PersonErased" else column.send


def _withheld(column: _Column, facts: Facts, plan: _Plan, on: date) -> Reason | None:
    """The first reason that applies, in the order in which a person would ask."""
    if facts.emitter_organisation == column.organisation:
        return "own_event"
    if column.notice:
        return None
    for agreement in column.agreements:
        if agreement.start <= on <= agreement.end:
            break
    else:
        return "no_agreement"
    if column.default is None:
        return "no_agreement"
    if facts.restricted:
        return "restricted"
    if facts.objections and not column.default.legal_duty and _objected(column, facts.objections):
        return "objection"
    if facts.measure_type == SENSITIVE:
        if column.partner != facts.addressee and column.partner not in facts.parties:
            return "sensitive_measure"
        if column.partner == facts.addressee and column.default.health and agreement.article9 is None:
            return "no_agreement"
    if plan.partitioned and facts.pilot_area is None:
        return "before_pilot_date"
    if facts.expires_on is not None and facts.expires_on < on:
        return "expired"
    return None


def _objected(column: _Column, objections: tuple[str, ...]) -> bool:
    return any(entry in ("*", column.kind, column.organisation, column.partner) for entry in objections)


def may_emit(partner: str, record: str, facts: Facts, configuration: Configuration) -> str | None:
    """None, or the code of why accept must refuse this partner's event (sentences: route.toml, `refusals`).

    Looks at the kind's E column, the declared master of the flow, and at what an addressed record may be addressed to."""
    row = table().records.get(record)
    if row is None:
        return "unknown_record"
    if facts.territory != configuration.territory.id:
        return "wrong_territory"
    if row.hub:
        return None if partner == HUB else "not_an_emitter"
    known, organisation = configuration.partner(partner), configuration.organisation_of(partner)
    if known is None or organisation is None:
        return "unknown_partner"
    if not known.active(facts.accepted_on):
        return "partner_removed"
    condition = row.emit.get(organisation.kind)
    if condition is None:
        return "not_an_emitter"
    masters = configuration.territory.masters.get(record)
    if masters is not None and partner not in masters and organisation.kind not in masters:
        return "not_master"
    if condition == "addressed" and facts.addressee != partner:
        return "not_addressed"
    if condition in ("referent", "own"):
        kinds = ("referent",) if condition == "referent" else ("decision", "referent")
        if not any(r.partner == partner and r.kind in kinds for r in facts.relations):
            return "no_relation"
    if facts.addressee is not None and condition != "addressed":
        return _addressee_refusal(row, facts, configuration)
    return None


def _addressee_refusal(row: Row, facts: Facts, configuration: Configuration) -> str | None:
    addressee = configuration.partner(facts.addressee or "")
    if addressee is None or not addressee.active(facts.accepted_on):
        return "unknown_addressee"
    kind = configuration.kind_of(addressee.id)
    return None if kind and "addressed" in row.to.get(kind, ()) else "addressee_not_concerned"
