"""A person's profile: names, birth, contacts, as known now; kept sealed under the person's key, never in clear.

What may overwrite what is data (``profile.toml``). Values are compared normalised, so that another case, accent or phone
prefix is no change and no event.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from hub.people import normal
from hub.people.matching import Known
from hub.sdk.inbound import Address, Subject

_SEX = {"F": "F", "M": "M"}

FIELDS = ("birth_name", "name", "first_names", "birth_date", "sex", "phones", "email", "address")
"""Fields of a profile that items may state; `birth_day_known` goes with `birth_date`."""

CHANNELS = {"phones": "PHONE", "email": "EMAIL", "address": "ADDRESS"}
"""Contact fields and their channel in ContactChanged."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a person. `since` says from when each field
    is, ISO with zone: an older item does not overwrite it. `phones` are E.164 where French, mobiles first."""

    birth_name: str = ""
    first_names: tuple[str, ...] = ()
    birth_date: str = ""
    birth_day_known: bool = True
    name: str | None = None
    sex: str | None = None
    phones: tuple[str, ...] = ()
    email: str | None = None
    address: Address | None = None
    since: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """JSON bytes to seal (column ``person.profile``)."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(data: bytes) -> Profile:
        """What `encode` wrote."""
        return msgspec.json.decode(data, type=Profile)

    @property
    def insee_code(self) -> str | None:
        """The commune's INSEE code, which places the person in a pilot area; None when not known."""
        return self.address.insee_code if self.address else None

    def known(self, held: Mapping[str, frozenset[bytes]]) -> Known:
        """The facts that matching needs; `held`: the person's identifier hashes by kind."""
        return Known(self.birth_date, self.birth_day_known, held)


@dataclass(frozen=True, slots=True)
class Update:
    """A profile after an item. `changed` and `proposed` name fields; proposed ones wait for the reviewer."""

    profile: Profile
    changed: tuple[str, ...]
    proposed: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of ContactChanged that changed."""
        return tuple(CHANNELS[name] for name in self.changed if name in CHANNELS)


def update(
    profile: Profile, subject: Subject, record: str, observed_at: datetime, reviewed: bool = False
) -> Update:
    """Apply what an item states. Pure.

    Empty fields are filled; others change only when `record` may overwrite them, the value differs when normalised, and the
    item is not older than the field. `reviewed`: the reviewer decided, so a birth date may change too."""
    rules = _rules()
    values = _stated(subject)
    may = rules.overwrites.get(record, frozenset()) | (rules.reviewed if reviewed else frozenset())
    changed: dict[str, Any] = {}
    proposed = []
    for name, value in values.items():
        before = getattr(profile, name)
        if name == "phones":
            value = _phones((*value, *before), rules.keep) if name in may or not before else before
        if _same(name, before, value):
            continue
        if not before or (name in may and _not_older(profile, name, observed_at)):
            changed[name] = value
        elif name in rules.reviewed:
            proposed.append(name)
    since = profile.since | dict.fromkeys(changed, observed_at.isoformat())
    extra = {"birth_day_known": subject.birth_day_known} if "birth_date" in changed else {}
    after = replace(profile, **changed, **extra, since=since) if changed else profile
    return Update(after, tuple(changed), tuple(proposed))


def new_profile(subject: Subject, observed_at: datetime) -> Profile:
    """The profile of a person first met: everything its first item says."""
    return update(Profile(), subject, "", observed_at).profile


def person_block(profile: Profile) -> dict[str, Any]:
    """The sealed block ``fr.spie.common.PersonBlock`` of an event, as known now."""
    address = profile.address
    return {
        "birth_name": profile.birth_name,
        "name": profile.name,
        "first_names": list(profile.first_names),
        "birth_date": profile.birth_date,
        "birth_day_known": profile.birth_day_known,
        "sex": profile.sex,
        "phones": list(profile.phones),
        "email": profile.email,
        "address": address
        and {
            "lines": list(address.lines),
            "postal_code": address.postal_code,
            "insee_code": address.insee_code,
            "commune": address.commune,
        },
    }


def _stated(subject: Subject) -> dict[str, Any]:
    """What the subject says, written as the profile keeps it; what it does not say is absent, so nothing is emptied."""
    birth_name = _clean(subject.birth_name) or _clean(subject.name)
    name = _clean(subject.name)
    address = _address(subject.address)
    values = {
        "birth_name": birth_name,
        "name": None if name and normal.letters(name) == normal.letters(birth_name or "") else name,
        "first_names": tuple(cleaned for each in subject.first_names if (cleaned := _clean(each))),
        "birth_date": date.fromisoformat(subject.birth_date).isoformat() if subject.birth_date else None,
        "sex": _SEX.get(subject.sex or ""),
        "phones": _phones(subject.phones, _rules().keep),
        "email": _clean(subject.email),
        "address": address,
    }
    return {name: value for name, value in values.items() if value}


def _clean(text: str | None) -> str | None:
    return " ".join(text.split()) or None if text else None


def _address(address: Address | None) -> Address | None:
    if address is None:
        return None
    cleaned = Address(
        tuple(line for each in address.lines if (line := _clean(each)))[:6],
        _clean(address.postal_code),
        _clean(address.insee_code),
        _clean(address.commune),
    )
    return cleaned if cleaned.lines or cleaned.commune or cleaned.postal_code or cleaned.insee_code else None


def _phones(numbers: tuple[str, ...], keep: int) -> tuple[str, ...]:
    """E.164, each once, mobiles before others, otherwise in the given order."""
    found = dict.fromkeys(number for each in numbers if (number := normal.phone(each)))
    return tuple(sorted(found, key=lambda number: not normal.is_mobile(number)))[:keep]


def _same(name: str, before: Any, value: Any) -> bool:
    """Equal when normalised: another case, accent, punctuation or prefix is the same value."""
    if not before or not value:
        return before == value
    return _comparable(name, before) == _comparable(name, value)


def _comparable(name: str, value: Any) -> Any:
    if name in ("birth_name", "name"):
        return normal.letters(value)
    if name == "first_names":
        return tuple(normal.letters(each) for each in value)
    if name == "email":
        return normal.email(value)
    if name == "address":
        lines = normal.words(" ".join(value.lines))
        # a source that has no INSEE code says nothing about it: the commune's name decides
        return lines, value.postal_code, normal.commune(value.commune or "") or value.insee_code
    return value


def _not_older(profile: Profile, name: str, observed_at: datetime) -> bool:
    since = profile.since.get(name)
    return since is None or datetime.fromisoformat(since) <= observed_at


@dataclass(frozen=True, slots=True)
class _Rules:
    overwrites: Mapping[str, frozenset[str]]
    reviewed: frozenset[str]
    keep: int


@cache
def _rules() -> _Rules:
    """profile.toml. Raises ValueError when it names a field that a profile does not have."""
    path = Path(__file__).with_name("profile.toml")
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    rules = _Rules(
        {record: frozenset(names) for record, names in document["overwrites"].items()},
        frozenset(document["reviewed"]["fields"]),
        document["phones"]["keep"],
    )
    named = rules.reviewed.union(*rules.overwrites.values())
    if unknown := named - set(FIELDS):
        raise ValueError(f"{path}: {sorted(unknown)} are no fields of a profile")
    return rules
