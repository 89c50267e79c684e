"""One CloudEvent as partners send it: the envelope, whom it is about, and the record's own fields.

`data` holds the record's own fields as its schema names them, beside `person` (who), `sensitive` where the record has such
a block, and `corrects`. What only the hub can know (territory, journey, where it came from) nobody sends. Unknown names
are refused, except the tracing and ordering extensions of CloudEvents, which change nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, create_model

from hub.gateway.problems import FieldError
from hub.gateway.strict import token
from hub.log.models import RECORDS, Address, Corrects, Part, PersonBlock, Sex, Text
from hub.rights.route import table

PUBLISHABLE = tuple(record for record in RECORDS if not table().records[record].hub)
"""Records that partners may emit; the others are the hub's own."""

COMMON = frozenset({"territory", "journey", "source", "observed_at", "corrects", "person"})
"""Of every record's fields, those that are not its own."""

FILLED = frozenset({"previous", "late", "entitled"})
"""Own fields that accept fills (their docs say so)."""

MINTED = {"MeasureRequested": "measure_id", "OrientationDecided": "decision_id"}
"""Ids that the hub gives when the sender has none; the receipt names them, later events quote them."""

Name = Annotated[str, Field(min_length=1, max_length=1024)]
Short = Annotated[str, Field(min_length=1, max_length=100)]


class Envelope(Part):
    """CloudEvents 1.0 in JSON. `id` is the sender's own: one id is one event of this sender, for ever. `time` is when the
    sender observed or wrote the fact. `subject` is a reference that the hub gave out (a measure id)."""

    specversion: Literal["1.0"] = Field(description="Always 1.0.")
    id: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="Your own id of the event. Sent again with the same body, it gives the same receipt."
    )
    source: Annotated[str, Field(min_length=1, max_length=500)] = Field(description="Your system, a URI.")
    type: str = Field(description="fr.spie.<family>.<Record>.v<N>")
    data: dict[str, Any] = Field(description="The record's own fields, `person`, `sensitive`, `corrects`.")
    subject: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None,
        description="A reference that the hub gave you, e.g. a measure id; then `person` may be left out.",
    )
    time: AwareDatetime | None = Field(
        None, description="When you observed or wrote the fact, with zone; default: now."
    )
    datacontenttype: Annotated[str, Field(pattern=r"^application/json(;.*)?$")] | None = None
    dataschema: str | None = None
    traceparent: Any = None
    tracestate: Any = None
    partitionkey: Any = None
    sequence: Any = None
    sequencetype: Any = None
    recordedtime: Any = None
    correlationid: Any = None
    causationid: Any = None


class Matricule(Part):
    """Number of a beneficiary's file at its payer; without payer it is the territory's main one."""

    number: Short = Field(description="Matricule as the payer writes it.")
    fonorg: Literal["", "CAF", "MSA", "OPF"] = Field("", description="CNAF FONORG.")
    numorg: Annotated[str, Field(pattern=r"^([0-9]{3})?$")] = Field("", description="CNAF NUMORG, 3 digits.")


class Place(Address):
    """A postal address; the lines may be left out."""

    lines: list[Text] = Field(default=[], max_length=6, description=Address.model_fields["lines"].description)


class Person(Part):
    """Who the event is about: identifiers, civil data and contacts, as far as the sender knows them. A person met for the
    first time needs birth name, first name and birth date."""

    own_id: Short | None = Field(
        None,
        description="Your own stable id of the person: the surest way to be understood about the same one.",
    )
    birth_name: Name | None = Field(None, description="Nom de naissance.")
    name: Name | None = Field(None, description="Nom d'usage.")
    first_names: list[Name] = Field([], max_length=20, description="First names in civil order.")
    birth_date: date | None = Field(None, description="YYYY-MM-DD.")
    birth_day_known: bool = Field(True, description="False when the day is conventional.")
    sex: Sex | None = None
    phones: list[Short] = Field([], max_length=4)
    email: Name | None = None
    address: Place | None = None
    nir: Short | None = Field(None, description="NIR, 13 or 15 characters.")
    matricule: Matricule | None = None
    numdemrsa: Short | None = None
    france_travail_id: Short | None = Field(None, description="National number, 11 digits.")
    milo_id: Short | None = None
    webrsa_id: Short | None = None


class Unfit(Exception):
    """A part of an event breaks rules; `errors` names all of them."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("invalid")
        self.errors = errors


def read_model(model: type[BaseModel], value: Any, pointer: str) -> BaseModel:
    """`value` (parsed JSON) as a strict model. Raises Unfit with pointers below `pointer`."""
    try:
        found = model.model_validate_json(msgspec.json.encode(value))
    except ValidationError as error:
        raise Unfit(
            [
                FieldError(pointer + "".join(f"/{token(step)}" for step in e["loc"]), _rule(e))
                for e in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    if odd := list(_odd_dates(value, found, pointer)):
        raise Unfit(odd)
    return found


def _odd_dates(raw: Any, read: Any, pointer: str) -> Iterator[FieldError]:
    """Dates and times that were read from a bare number (pydantic takes seconds since 1970)."""
    if isinstance(read, date):
        if "-" not in str(raw):
            yield FieldError(pointer, "must be written YYYY-MM-DD, or with time and zone where it is a time")
    elif isinstance(read, BaseModel):
        for name in read.model_fields_set:
            yield from _odd_dates(raw[name], getattr(read, name), f"{pointer}/{name}")
    elif isinstance(read, list):
        for n, (inner, item) in enumerate(zip(raw, read, strict=True)):
            yield from _odd_dates(inner, item, f"{pointer}/{n}")


def _rule(error: Mapping[str, Any]) -> str:
    """What was broken, in words that hold nothing of what was sent."""
    context, kind = error.get("ctx", {}), error["type"]
    if kind in ("enum", "literal_error"):
        return "must be one of " + ", ".join(re.findall(r"'([^']*)'", str(context["expected"])))
    if kind in _PLAIN:
        return _PLAIN[kind].format(**context)
    return _PLAIN_BY_END.get(kind.rpartition("_")[0].removesuffix("_from"), f"breaks the rule {kind}")


_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this record (what the hub itself knows is not sent)",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must look like {pattern}",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "timezone_aware": "must say its zone, e.g. 2026-03-05T08:30:00+01:00",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
}
_PLAIN_BY_END = {
    "uuid": "must be a UUID",
    "date": "must be a day, YYYY-MM-DD",
    "datetime": "must be a time with zone, e.g. 2026-03-05T08:30:00+01:00",
    "datetime_object": "must be a time with zone, e.g. 2026-03-05T08:30:00+01:00",
}


@cache
def data_model(record: str) -> type[BaseModel]:
    """What `data` holds for a record: its own fields, `person`, `corrects`, and `sensitive` where it has that block."""
    fields: dict[str, Any] = {
        name: (info.annotation, info)
        for name, info in RECORDS[record].model_fields.items()
        if name not in COMMON | FILLED
    }
    if record in MINTED:
        name = MINTED[record]
        fields[name] = (UUID | None, Field(None, description="The hub gives one when it is left out."))
    fields["person"] = (_person_model(record) | None, Field(None, description="Who it is about."))
    fields["corrects"] = (
        Corrects | None,
        Field(None, description="Your earlier event that this one corrects."),
    )
    return create_model(f"{record}Data", __base__=Part, __doc__=RECORDS[record].__doc__, **fields)


@cache
def _person_model(record: str) -> type[Person]:
    """Person, with what this record's person block holds besides (a référent's contact)."""
    block = RECORDS[record].model_fields["person"].annotation
    more = {
        name: (info.annotation, info) for name, info in block.model_fields.items() if name in extra(record)
    }
    return create_model(f"{record}Person", __base__=Person, **more) if more else Person


@cache
def extra(record: str) -> frozenset[str]:
    """Fields of a record's person block that are not about the person itself."""
    return frozenset(RECORDS[record].model_fields["person"].annotation.model_fields) - frozenset(
        PersonBlock.model_fields
    )
