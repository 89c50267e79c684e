"""Invented facts of CAF months: half of a month's events are entrants, half tell that last month's entrants moved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

from hub.sdk.inbound import Address, Draft, Position, Subject

OBSERVED_AT = datetime(2026, 4, 2, 1, 18, 36, tzinfo=UTC)


def month(number: int, events: int) -> Iterator[Draft]:
    """The drafts of one month, from 1; month 0 has the entrants only. One event per person and month."""
    people = events // 2
    for person in range(number * people, (number + 1) * people):
        yield entrant(person)
    if number:
        for person in range((number - 1) * people, number * people):
            yield moved(person)


def entrant(number: int) -> Draft:
    """Person `number` enters the RSA's rights and duties."""
    return Draft(
        record="NewRsaEntrant",
        key=("NewRsaEntrant", *_own_key(number)),
        subject=_subject(number, street=1 + number % 90),
        fields={
            "information_received_on": date(2026, 4, 2),
            "right_opened_on": date(2026, 3, 1),
            "duties_since": date(2026, 3, 1),
            "claim_on": date(2026, 2, 10),
            "payer": {"fonorg": "CAF", "numorg": "761"},
            "role": "DEM",
            "rules": ["TOP"],
            "first_time": None,
            "groups": [],
        },
        observed_at=OBSERVED_AT,
        position=Position(number, number),
        rule="TOP",
        journey="open",
    )


def moved(number: int) -> Draft:
    """Person `number` has another address."""
    return Draft(
        record="ContactChanged",
        key=("ContactChanged", *_own_key(number)),
        subject=_subject(number, street=100 + number % 900),
        fields={"channel": "ADDRESS", "modified_at": OBSERVED_AT, "consent": {"phone": None, "email": None}},
        observed_at=OBSERVED_AT,
        position=Position(number, number),
        rule="RGADR 01",
    )


def _subject(number: int, street: int) -> Subject:
    sex, month_, year = 1 + number % 2, 1 + number // 2 % 12, 50 + number // 24 % 50
    return Subject(
        birth_name=f"INVENTE-{number}",
        first_names=("Camille", f"Prénom{number % 1000}"),
        birth_date=date(1900 + year, month_, 1 + number % 28).isoformat(),
        sex="MF"[sex - 1],
        phones=(f"+336399{number % 10_000:04d}",),
        email=f"personne{number}@exemple.invalid",
        address=Address((f"{street} RUE DU BANC",), "76600", "76351", "LE HAVRE"),
        nir=f"{sex}{year:02d}{month_:02d}99999{number // 1200 % 1000:03d}",
        matricule=("CAF", "761", f"{number:07d}"),
        numdemrsa=f"{number:011d}",
        own_key=_own_key(number),
    )


def _own_key(number: int) -> tuple[str, ...]:
    return ("CAF", "761", f"{number:07d}", "DEM")
