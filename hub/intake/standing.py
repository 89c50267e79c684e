"""What is open about a person when an event is accepted, and what the event makes of it: journeys, relations, facts.

Pure: a fold over the person's standing, in `no` order, under the person's lock (protocol.md §1; events.md, *Facts*).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from hub.rights.configuration import Configuration
from hub.rights.route import Facts, Relation
from hub.rights.territory import SENSITIVE
from hub.sdk.inbound import Draft


@dataclass(slots=True)
class Journey:
    """An entitlement period ("rsa") or a reported journey. `payer` is a keyed hash. Numbers are event numbers."""

    id: UUID
    kind: str
    payer: bytes | None
    opened_no: int
    opened_on: date | None = None
    closed_no: int | None = None
    new: bool = False


@dataclass(slots=True)
class OpenRelation:
    """A relation's row; `id` None while it is not stored yet."""

    partner: str
    kind: str
    key: str
    from_no: int
    to_no: int | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What accept needs to know of an earlier measure request: who was asked, by whom, of what type, until when."""

    person: UUID
    addressee: str | None
    emitter: str
    measure_type: str | None
    expires_on: date | None


@dataclass(slots=True)
class Standing:
    """One person as accept sees it. `orientation` is {parcours, organism, decided_on} of the decision in force."""

    person: UUID
    journeys: list[Journey] = field(default_factory=list)
    relations: list[OpenRelation] = field(default_factory=list)
    orientation: Mapping[str, Any] | None = None
    restricted: bool = False
    objections: tuple[str, ...] = ()

    def open_journey(self, kind: str | None = None) -> Journey | None:
        """The open journey; when an RSA period and a reported one are both open, RSA wins."""
        found = [j for j in self.journeys if j.closed_no is None and kind in (None, j.kind)]
        return min(found, key=lambda j: j.kind != "rsa", default=None)

    def open_relations(self) -> list[OpenRelation]:
        return [r for r in self.relations if r.to_no is None]


class OtherPayer(Exception):
    """The person has an open entitlement period under another payer of the territory: no second entrant (events.md)."""


def journey_of(
    standing: Standing, draft: Draft, no: int, payer: bytes | None, new_id: UUID
) -> Journey | None:
    """The journey that the event carries, after what the draft does to it. Raises OtherPayer."""
    if draft.journey in ("open", "renew"):
        kind = "reported" if draft.record == "JourneyEntryReported" else "rsa"
        current = standing.open_journey(kind)
        if current is not None:
            if kind == "rsa" and draft.journey == "open" and current.payer != payer:
                raise OtherPayer
            current.closed_no = no
        made = Journey(new_id, kind, payer, no, draft.fields.get("right_opened_on"), new=True)
        standing.journeys.append(made)
        return made
    current = standing.open_journey()
    if draft.journey == "close" and current is not None:
        current.closed_no = no
    return current


def relate(
    standing: Standing,
    record: str,
    fields: Mapping[str, Any],
    emitter: str,
    no: int,
    configuration: Configuration,
) -> None:
    """Open and close relations (events.md, *Facts*): a request, a decision and a référent's mandate open one; refusal,
    end, withdrawal and the journey's end close it; a new decision or référent of the same scope replaces the old one."""
    if record == "MeasureRequested":
        for partner in dict.fromkeys((fields["addressee"], emitter)):
            _open(standing, partner, "request", str(fields["measure_id"]), no)
    elif record == "OrientationDecided":
        _close(standing, no, kind="decision")
        holders = [p.id for p in configuration.partners if configuration.kind_of(p.id) == "france_travail"]
        if fields.get("structure"):
            holders.append(fields["structure"])
        for partner in dict.fromkeys(holders):
            _open(standing, partner, "decision", str(fields["decision_id"]), no)
    elif record == "ReferentDesignated":
        _close(standing, no, kind="referent", key=fields["scope"])
        if fields.get("ends_on") is None:
            _open(standing, fields["structure"], "referent", fields["scope"], no)
    elif (
        (record == "MeasureAnswered" and fields["answer"] == "REFUSED")
        or record == "MeasureWithdrawn"
        or (record == "MeasureStateChanged" and fields.get("state") in ("ENDED", "ABANDONED"))
    ):
        _close(standing, no, kind="request", key=str(fields["measure_id"]))
    elif record == "JourneyEnded":
        _close(standing, no)


def _open(standing: Standing, partner: str, kind: str, key: str, no: int) -> None:
    if not any(r.partner == partner and r.kind == kind and r.key == key for r in standing.open_relations()):
        standing.relations.append(OpenRelation(partner, kind, key, no))


def _close(standing: Standing, no: int, kind: str | None = None, key: str | None = None) -> None:
    for relation in standing.open_relations():
        if kind in (None, relation.kind) and key in (None, relation.key):
            relation.to_no = no


def facts_of(
    standing: Standing,
    record: str,
    fields: Mapping[str, Any],
    emitter: str,
    configuration: Configuration,
    on: date,
    pilot_area: str | None,
    request: Request | None,
    addressee: str | None,
    sensitive: bool,
) -> Facts:
    """What routing will read, taken before the event changes the standing. `on` is the day of accept in Paris."""
    organisation = configuration.organisation_of(emitter)
    parties: tuple[str, ...] = ()
    measure_type = SENSITIVE if sensitive else fields.get("type") if record == "MeasureRequested" else None
    expires_on = fields.get("expires_on") if record == "MeasureRequested" else None
    addressee = addressee or fields.get("addressee")
    if record == "MeasureRequested":
        parties = (emitter,)
    elif request is not None:
        addressee, measure_type, parties = request.addressee, request.measure_type, (request.emitter,)
    return Facts(
        territory=configuration.territory.id,
        record=record,
        emitter=emitter,
        emitter_organisation=organisation.id if organisation else emitter,
        accepted_on=on,
        addressee=addressee,
        organism=fields.get("organism") if record == "OrientationDecided" else None,
        structure=fields.get("structure"),
        measure_type=measure_type,
        pilot_area=pilot_area,
        expires_on=expires_on,
        relations=tuple(Relation(r.partner, r.kind, r.key) for r in standing.open_relations()),
        parties=parties,
        objections=standing.objections,
        restricted=standing.restricted,
    )
