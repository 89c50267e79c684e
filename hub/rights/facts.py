"""What accept stores with an event for routing (column ``event.facts``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple


class Relation(NamedTuple):
    """What was open between the person and a partner just before the event. `kind`: request, decision or referent."""

    partner: str
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What accept stores with an event for routing (column ``event.facts``); nothing in it identifies a person.

    `accepted_on` is the day of accept in the territory's time zone: agreements, pilot areas and expiry are compared with
    it. `measure_type` is ``"sensitive"`` for every sensitive type. `parties` are partners that the event names besides its
    addressee: who made the measure request; for PersonErased and its like, who holds something. `objections` are "*",
    kinds, organisation or partner ids. `erasing`, `restricted` and `objections` are the person's at the moment of routing.
    """

    territory: str
    record: str
    emitter: str
    emitter_organisation: str
    accepted_on: date
    addressee: str | None = None
    organism: str | None = None
    structure: str | None = None
    measure_type: str | None = None
    pilot_area: str | None = None
    matter: str | None = None
    expires_on: date | None = None
    relations: tuple[Relation, ...] = ()
    parties: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    restricted: bool = False
    erasing: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON-like; what is empty is left out."""
        found: dict[str, Any] = {}
        for name in _FACTS:
            value = getattr(self, name)
            if value is None or value is False or value == ():
                continue
            if isinstance(value, date):
                value = value.isoformat()
            elif isinstance(value, tuple):
                value = [list(row) if isinstance(row, tuple) else row for row in value]
            found[name] = value
        return found

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Facts:
        """What `to_json` wrote; an unknown key raises TypeError (facts of a newer release)."""
        values = dict(document)
        values["accepted_on"] = date.fromisoformat(values["accepted_on"])
        if "expires_on" in values:
            values["expires_on"] = date.fromisoformat(values["expires_on"])
        if "relations" in values:
            values["relations"] = tuple(Relation(*row) for row in values["relations"])
        for name in ("parties", "objections"):
            if name in values:
                values[name] = tuple(values[name])
        return Facts(**values)


_FACTS = tuple(field.name for field in fields(Facts))
