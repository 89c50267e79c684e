"""One ``dossier`` of a WebRSA-ALI export, read and checked: the person, orientations, référents, when contacts changed.

A wrong orientation or référent is a reject of its own; the rest of the dossier is taken. Texts are never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from connectors.departement.formats.referential import Referential, folded
from hub.sdk.codes import CodeTable
from hub.sdk.inbound import Address, Position, Reject, Subject
from hub.sdk.xml import text

PARIS = ZoneInfo("Europe/Paris")
_ID = re.compile(r"[0-9]{1,9}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\s([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?)", re.ASCII)


class Bad(Exception):
    """This part of the dossier does not hold; `field` is the element's name."""

    def __init__(self, reason: str, field: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.field, self.detail = reason, field, detail


@dataclass(frozen=True, slots=True)
class Orientation:
    """A decided orientation; ids are WebRSA's."""

    number: str
    on: date
    type: str
    structure: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class Mandate:
    """A référent de parcours; `referent` None = only the structure is known."""

    structure: str
    referent: str | None
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class Dossier:
    """`modified` says when WebRSA last changed a channel (UTC); `rejects` are the parts that were not taken."""

    position: Position
    person: str
    subject: Subject
    orientations: tuple[Orientation, ...]
    mandates: tuple[Mandate, ...]
    modified: dict[str, datetime] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()


def read_dossier(
    element: etree._Element,
    position: Position,
    referential: Referential,
    sexes: CodeTable,
    statuses: CodeTable,
) -> Dossier | Reject:
    """Check one dossier; a reject when nobody can be said to be meant by it."""
    rejects: list[Reject] = []
    try:
        person = _id(element, "id_personne")
        subject = _subject(element, person, referential, sexes)
    except Bad as bad:
        return Reject(position, bad.reason, bad.field, bad.detail)

    def taken(path: str, read: Callable[[etree._Element], Any]) -> Iterator[Any]:
        for part in element.findall(path):
            try:
                made = read(part)
            except Bad as bad:
                rejects.append(
                    Reject(Position(position.ordinal, part.sourceline), bad.reason, bad.field, bad.detail)
                )
            else:
                if made is not None:
                    yield made

    orientations = tuple(
        taken("orientations/orientation", lambda part: _orientation(part, referential, statuses))
    )
    mandates = tuple(taken("referents_parcours/referent_parcours", lambda part: _mandate(part, referential)))
    return Dossier(position, person, subject, orientations, mandates, _modified(element), tuple(rejects))


def _subject(element: etree._Element, person: str, referential: Referential, sexes: CodeTable) -> Subject:
    """WebRSA's `nom` is the usual name. Its numbers went through an integer: leading zeros come back here."""
    found = element.find("allocataire")
    if found is None:
        return Subject(webrsa_id=person, own_key=("webrsa", person))
    civility = text(found, "civilite")
    code = referential["civilite"].get(civility or "", {}).get("code", "")
    sex = sexes.to_hub(folded(code))
    number = text(found, "numero_caf")
    return Subject(
        name=_text(found, "nom"),
        first_names=(_text(found, "prenom"),),
        birth_date=_day(found, "date_naissance").isoformat(),
        sex=sex.ours if sex.known else None,
        phones=tuple(filter(None, (text(element, f"modes_contact/telephone_{n}") for n in (1, 2)))),
        email=text(element, "modes_contact/email"),
        address=_address(found),
        nir=text(found, "nir"),
        matricule=("", "", number.zfill(7)) if number and number.strip("0") else None,
        numdemrsa=text(found, "numero_demande_rsa"),
        webrsa_id=person,
        own_key=("webrsa", person),
    )


def _address(found: etree._Element) -> Address:
    """Number, kind and name of the street make one line, the complement another; the postal code has five digits."""
    street = " ".join(filter(None, (text(found, name) for name in ("numero_voie", "type_voie", "nom_voie"))))
    lines = tuple(filter(None, (street, text(found, "complement_adresse"))))
    code = text(found, "code_postal")
    return Address(lines, code.zfill(5) if code and code.strip("0") else None, None, text(found, "ville"))


def _orientation(part: etree._Element, referential: Referential, statuses: CodeTable) -> Orientation | None:
    """None for what is not decided."""
    status = referential["orient_statut"].get(_id(part, "statut_orient"))
    if status is None:
        raise Bad("unknown_id", "statut_orient", "not in the referential")
    meaning = next(
        (c for c in (statuses.to_hub(folded(status.get(n, ""))) for n in ("code", "libelle")) if c.known),
        None,
    )
    if meaning is None:
        raise Bad("unknown_code", "statut_orient", "the referential's code is in no table")
    if meaning.ours != "DECIDED":
        return None
    rank = text(part, "rang_orient")
    return Orientation(
        _id(part, "id_orient_webrsa"),
        _day(part, "date_orient"),
        _known(part, "type_orient", referential, "typesorients"),
        _known(part, "structure_referente", referential, "structuresreferentes"),
        int(_id(part, "rang_orient")) if rank else None,
    )


def _mandate(part: etree._Element, referential: Referential) -> Mandate:
    referent = text(part, "id_referent")
    ends = text(part, "date_fin_designation")
    mandate = Mandate(
        _known(part, "id_structure_referente", referential, "structuresreferentes"),
        _known(part, "id_referent", referential, "referents") if referent else None,
        _day(part, "date_debut_designation"),
        _day(part, "date_fin_designation") if ends else None,
    )
    if mandate.ends_on is not None and mandate.ends_on < mandate.starts_on:
        raise Bad("ends_before_start", "date_fin_designation")
    return mandate


def _modified(element: etree._Element) -> dict[str, datetime]:
    """When each channel changed, where WebRSA says so legibly; local time without zone, read as Paris time."""
    found = {}
    for name, channel in (("telephone_1", "PHONE"), ("telephone_2", "PHONE"), ("email", "EMAIL")):
        moment = instant(text(element, f"modes_contact/modif_{name}"))
        if moment is not None:
            found[channel] = max(moment, found.get(channel, moment))
    return found


def instant(value: str | None) -> datetime | None:
    """WebRSA's "YYYY-MM-DD HH:MM:SS[.mmm]" in UTC, None when it does not hold."""
    match = _MOMENT.fullmatch(value or "")
    if not match:
        return None
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=PARIS).astimezone(UTC)
    except ValueError:
        return None


def _known(part: etree._Element, name: str, referential: Referential, table: str) -> str:
    number = _id(part, name)
    if number not in referential[table]:
        raise Bad("unknown_id", name, "not in the referential: load the newest one first")
    return number


def _id(element: etree._Element, name: str) -> str:
    """A whole number as WebRSA writes ids, without leading zeros."""
    value = _text(element, name)
    if not _ID.fullmatch(value):
        raise Bad("not_an_id", name)
    return str(int(value))


def _day(element: etree._Element, name: str) -> date:
    value = _text(element, name)
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise Bad("not_a_date", name, "YYYY-MM-DD")


def _text(element: etree._Element, name: str) -> str:
    value = text(element, name)
    if value is None:
        raise Bad("missing", name)
    return value
