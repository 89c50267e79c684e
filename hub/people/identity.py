"""What a source says about who an item concerns, normalised, and the keys under which such a person is found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from hub.people import normal
from hub.sdk.inbound import Subject
from hub.sdk.numbers import NumberError, normalise_matricule, parse_nir

IDENTIFIERS = ("nir", "france_travail_id", "milo_id", "webrsa_id", "matricule", "numdemrsa")
"""Kinds of identifiers that a person may hold (table identifier)."""

EXCLUSIVE = ("nir", "france_travail_id", "milo_id", "webrsa_id")
"""Identifiers that one person alone holds; a matricule or NUMDEMRSA is a household's."""

# The national number, 11 digits; local ones of 8 or with a letter are not the person's at another agency.
_FRANCE_TRAVAIL = re.compile(r"[0-9]{11}", re.ASCII)
_OTHER_ID = re.compile(r"[0-9A-Z]{1,40}", re.ASCII)


class Key(NamedTuple):
    """One key of the index: a rule and all its parts, normalised. Only its keyed hash is ever stored."""

    rule: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """A subject, normalised. `problems` are identifiers that do not hold (field, reason): left out, never guessed.

    `identifiers` are the values to keep by kind. `matricule` is (FONORG, NUMORG, number): the number alone, which is kept
    as identifier, is unique per payer only. Names are folded."""

    source: str
    own_key: tuple[str, ...] | None
    reference: str | None
    birth_name: str
    first_name: str
    birth_date: str | None
    birth_day_known: bool
    identifiers: Mapping[str, str]
    contacts: tuple[tuple[str, str], ...]
    matricule: tuple[str, str, str] | None
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        """A new person needs a name, a first name and a birth date."""
        return bool(self.birth_name and self.first_name and self.birth_date)


def normalise(subject: Subject, main_payer: tuple[str, str], source: str) -> Identity:
    """Normalise what a source says. `main_payer` (FONORG, NUMORG) stands in for a number without payer; `source` scopes
    the source's own key (partner id). A matricule that is a NIR (MSA) is never kept as an allocation number; it counts as
    the person's NIR only when birth date and sex fit, because a household shares it."""
    problems: list[tuple[str, str]] = []
    identifiers: dict[str, str] = {}
    birth_date = _iso(subject.birth_date, problems)
    nir = _nir(subject.nir, problems)
    household = _matricule(subject.matricule, main_payer, problems)
    if household is not None and household[3]:
        if nir is None and birth_date and _fits(household[2], birth_date, subject.sex):
            nir = household[2]
    elif household is not None:
        identifiers["matricule"] = household[2]
    if nir:
        identifiers["nir"] = nir
    for kind in ("numdemrsa", "france_travail_id", "milo_id", "webrsa_id"):
        value = _id(kind, getattr(subject, kind), problems)
        if value:
            identifiers[kind] = value
    return Identity(
        source,
        subject.own_key,
        subject.reference,
        normal.letters(subject.birth_name or subject.name or ""),
        normal.letters(subject.first_names[0]) if subject.first_names else "",
        birth_date,
        subject.birth_day_known,
        identifiers,
        _contacts(subject),
        household[:3] if household and household[0] else None,
        tuple(problems),
    )


def _id(kind: str, text: str | None, problems: list[tuple[str, str]]) -> str | None:
    """A partner's id without blanks and dots, in capitals; ASCII only (other digits look the same and are not)."""
    value = re.sub(r"[\s.-]", "", text or "").upper()
    shape = _FRANCE_TRAVAIL if kind == "france_travail_id" else _OTHER_ID
    if value and not shape.fullmatch(value):
        problems.append((kind, "shape"))
        return None
    return value or None


def _iso(text: str | None, problems: list[tuple[str, str]]) -> str | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        problems.append(("birth_date", "not an ISO date"))
        return None


def _nir(text: str | None, problems: list[tuple[str, str]]) -> str | None:
    if not text:
        return None
    try:
        return parse_nir(text).thirteen
    except NumberError as error:
        problems.append(("nir", error.reason))
        return None


def _matricule(
    matricule: tuple[str, str, str] | None, main_payer: tuple[str, str], problems: list[tuple[str, str]]
) -> tuple[str, str, str, bool] | None:
    """(FONORG, NUMORG, number, is a NIR); without payer, a number of a NIR's length is first tried as an MSA's."""
    if matricule is None or not matricule[2]:
        return None
    fonorg, numorg, text = matricule
    try:
        if not fonorg:
            fonorg, numorg = main_payer
            if len(text) in (13, 15) and (found := normalise_matricule("MSA", text)).is_nir:
                return "", "", found.value, True
        found = normalise_matricule(fonorg, text)
    except NumberError as error:
        problems.append(("matricule", error.reason))
        return None
    return fonorg, numorg, found.value, found.is_nir


def _fits(nir: str, birth_date: str, sex: str | None) -> bool:
    """True when year, month (where the NIR has one) and sex of a NIR are those of the person."""
    month = int(nir[3:5])
    return (
        nir[1:3] == birth_date[2:4]
        and (month > 12 or f"{month:02d}" == birth_date[5:7])
        and (sex not in ("F", "M") or (nir[0] in "248") == (sex == "F"))
    )


def _contacts(subject: Subject) -> tuple[tuple[str, str], ...]:
    found = [("name_phone", normal.phone(phone)) for phone in subject.phones if phone.strip()]
    if subject.email and subject.email.strip():
        found.append(("name_email", normal.email(subject.email)))
    if subject.address is not None:
        place = normal.commune(subject.address.commune or "") or (subject.address.insee_code or "")
        if place:
            found.append(("name_commune", place))
    return tuple(dict.fromkeys(found))


def identifier_key(identity: Identity, kind: str) -> Key:
    """The key under which an identifier of this identity is hashed: a matricule together with its payer."""
    if kind == "matricule" and identity.matricule is not None:
        return Key(kind, identity.matricule)
    return Key(kind, (identity.identifiers[kind],))


def keys_of(identity: Identity) -> tuple[Key, ...]:
    """All keys to look up and, where nobody else holds them, to index; the strongest first.

    A birth date whose day is unknown enters no rule that would be sure of itself: such a person is found by the identifier
    alone, by household, month and first name, or by name, and is at most doubtful."""
    keys: list[Key] = []
    if identity.own_key is not None:
        keys.append(Key("own", (identity.source, *identity.own_key)))
    born = identity.birth_date
    for kind in EXCLUSIVE:
        value = identity.identifiers.get(kind)
        if value:
            if born and identity.birth_day_known:
                keys.append(Key(f"{kind}_birth", (value, born)))
            keys.append(Key(kind, (value,)))
    if identity.matricule and born and identity.first_name:
        if identity.birth_day_known:
            keys.append(Key("matricule_birth", (*identity.matricule, born, identity.first_name)))
        keys.append(Key("matricule_month", (*identity.matricule, born[:7], identity.first_name)))
    if identity.complete and born:
        keys += [
            Key(rule, (identity.birth_name, identity.first_name, born, value))
            for rule, value in identity.contacts
        ]
    return tuple(keys)
