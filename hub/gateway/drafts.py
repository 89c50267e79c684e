"""From a CloudEvent to what accept takes: pure, the clock is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

import msgspec
from pydantic import BaseModel

from hub.gateway.cloudevents import (
    MINTED,
    PUBLISHABLE,
    Envelope,
    Person,
    Unfit,
    data_model,
    extra,
    read_model,
)
from hub.gateway.problems import FieldError, Problem
from hub.intake.results import Incoming
from hub.log.headers import event_id, event_source
from hub.log.registry import FileRegistry
from hub.people.identity import normalise
from hub.sdk.inbound import Address, Draft, Position, Subject

FLOW = "api"

JOURNEY = {"NewRsaEntrant": "open", "JourneyEntryReported": "open", "JourneyEnded": "close"}
"""What a record does to the person's journey (events.md, *Common block*); others carry it."""

_NOT_FIELDS = frozenset({"person", "sensitive", "corrects"})


@dataclass(frozen=True, slots=True)
class Sender:
    """Who publishes: its partner id and territory, and the payer that stands in for a matricule without one."""

    partner: str
    territory: str
    main_payer: tuple[str, str]

    @property
    def source(self) -> str:
        """CloudEvents source under which the hub keeps its events."""
        return event_source(self.territory, self.partner, FLOW)


@dataclass(frozen=True, slots=True)
class Publish:
    """One event ready for accept. `references` are the ids by which the sender can quote it later."""

    incoming: Incoming
    references: Mapping[str, str] = field(default_factory=dict)


def read_event(
    document: Any, sender: Sender, registry: FileRegistry, now: datetime, position: int = 1
) -> Publish:
    """One parsed CloudEvent. Raises Problem (invalid) that names every broken rule at once."""
    try:
        envelope = read_model(Envelope, document, "")
        record = _record(envelope, registry)
        data = read_model(data_model(record), document["data"], "/data")
        subject = _subject(record, envelope, data, sender)
    except Unfit as error:
        raise Problem("invalid", error.errors) from None
    fields = {name: plain(getattr(data, name)) for name in type(data).model_fields if name not in _NOT_FIELDS}
    minted = MINTED.get(record)
    if minted and fields[minted] is None:
        fields[minted] = uuid5(event_id(sender.source, envelope.id), minted)
    draft = Draft(
        record=record,
        key=(FLOW, envelope.id),
        subject=subject,
        fields=fields,
        observed_at=min(envelope.time or now, now),
        occurred_at=envelope.time,
        position=Position(position),
        journey=JOURNEY.get(record),
        sensitive=plain(getattr(data, "sensitive", None)),
        extra_person={name: plain(getattr(data.person, name, None)) for name in extra(record)},
        corrects=plain(data.corrects),
    )
    canonical = msgspec.json.encode(
        [envelope.type, envelope.source, envelope.subject, document["data"]], order="deterministic"
    )
    references = {minted: str(fields[minted])} if minted else {}
    return Publish(Incoming(draft, envelope.id, canonical), references)


def _record(envelope: Envelope, registry: FileRegistry) -> str:
    types = {registry.get(record).ce_type: record for record in PUBLISHABLE}
    if envelope.type not in types:
        raise Unfit([FieldError("/type", f"must be one of {', '.join(sorted(types))}")])
    return types[envelope.type]


def _subject(record: str, envelope: Envelope, data: BaseModel, sender: Sender) -> Subject:
    """Whom it is about. An event about a measure is about the measure's person: its id is the reference."""
    person: Person = data.person or Person()
    measure = str(data.measure_id) if record not in MINTED and hasattr(data, "measure_id") else None
    if measure and envelope.subject not in (None, measure):
        raise Unfit([FieldError("/subject", "must be the measure_id, or left out")])
    found = Subject(
        birth_name=person.birth_name,
        name=person.name,
        first_names=tuple(person.first_names),
        birth_date=person.birth_date.isoformat() if person.birth_date else None,
        birth_day_known=person.birth_day_known,
        sex=person.sex.value if person.sex else None,
        phones=tuple(person.phones),
        email=person.email,
        address=_address(person),
        nir=person.nir,
        matricule=(person.matricule.fonorg, person.matricule.numorg, person.matricule.number)
        if person.matricule
        else None,
        numdemrsa=person.numdemrsa,
        france_travail_id=person.france_travail_id,
        milo_id=person.milo_id,
        webrsa_id=person.webrsa_id,
        own_key=(FLOW, person.own_id) if person.own_id else None,
        reference=envelope.subject or measure,
    )
    if problems := normalise(found, sender.main_payer, sender.partner).problems:
        raise Unfit([FieldError(f"/data/person/{name}", f"does not hold: {why}") for name, why in problems])
    return found


def _address(person: Person) -> Address | None:
    at = person.address
    return at and Address(tuple(at.lines), at.postal_code, at.insee_code, at.commune)


def plain(value: Any) -> Any:
    """A model's value as connectors give it: dicts, lists, plain text for enums; dates and UUIDs stay."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if value is None or isinstance(value, (str, int, float, date, datetime, UUID)):
        return value
    raise TypeError(f"no plain form of {type(value).__name__}")
