"""The events that a household leads to, as drafts. Source event ids derive from content: payer, household, person, type,
the fact's own date and the new value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.caf.formats.rsabe import Adult, Household, Transfer
from hub.sdk.codes import UNKNOWN, code_table
from hub.sdk.inbound import Context, Draft, Parts, Subject

PARIS = ZoneInfo("Europe/Paris")
_CODES = Path(__file__).with_name("codes")
_REASONS = {
    "REFUSED": code_table(_CODES / "motirefursa.csv"),
    "OPEN_SUSPENDED": code_table(_CODES / "motisusdrorsa.csv"),
    "PAYMENT_SUSPENDED": code_table(_CODES / "motisusversrsa.csv"),
    "CLOSED": code_table(_CODES / "moticlorsa.csv"),
}
_CORSICA = {"201": "2A", "202": "2B"}


class Drafts:
    """Collects the drafts of one household in the order in which they happened."""

    def __init__(
        self, household: Household, context: Context, dtref: date, digest: Callable[..., str]
    ) -> None:
        self.taken: list[Draft] = []
        self._household, self._context, self._dtref, self._digest = household, context, dtref, digest
        self._observed_at = datetime.fromisoformat(context.header["created"])

    def entrant(
        self, adult: Adult, item: dict[str, Any], rules: list[str], first_time: bool | None, journey: str
    ) -> None:
        """`journey` "renew": the claim before it has ended without an event that closes its journey."""
        household = self._household
        fields = {
            "information_received_on": self._context.received_on,
            "right_opened_on": household.right_opened_on,
            "duties_since": adult.duties_since,
            "claim_on": household.claim_on,
            "payer": {"fonorg": household.fonorg, "numorg": household.numorg},
            "role": adult.role,
            "rules": rules,
            "first_time": first_time,
            "groups": [],
        }
        fact = (household.claim_on.isoformat(), household.claim)
        self._add("NewRsaEntrant", adult, item, fact, fields, "+".join(rules), journey=journey)

    def entitlement_changed(self, adult: Adult, item: dict[str, Any], before: str, after: str) -> None:
        household = self._household
        on = household.state_on or household.last_event_on or self._dtref
        fields = {
            "before": before,
            "after": after,
            "effective_on": on,
            "reason_group": reason_group(after, household.reasons),
        }
        fact = (on.isoformat(), f"{before} {after}")
        self._add("RsaEntitlementChanged", adult, item, fact, fields, "ETATDOSRSA", on=on)

    def address_changed(self, adult: Adult, item: dict[str, Any], moved_on: date | None, value: str) -> None:
        """`moved_on` is DTEMM when it is new too: an address corrected under its old date changed at DTREF."""
        fields = {
            "channel": "ADDRESS",
            "modified_at": _midnight(moved_on) if moved_on else None,
            "consent": {"phone": None, "email": None},
        }
        fact = ((moved_on or self._dtref).isoformat(), value)
        self._add("ContactChanged", adult, item, fact, fields, "RGADR 01")

    def corrected(self, adult: Adult, item: dict[str, Any], fields: list[str], value: str) -> None:
        self._add(
            "PersonCorrected",
            adult,
            item,
            (self._dtref.isoformat(), value),
            {"corrected": fields},
            "Identification",
        )

    def transferred(self, adult: Adult, item: dict[str, Any], direction: str, transfer: Transfer) -> None:
        fields = {
            "direction": direction,
            "other_departement": departement_of(transfer.fonorg, transfer.numorg),
            "transferred_on": transfer.on,
        }
        rule = "OrganismeCedant" if direction == "IN" else "OrganismePrenant"
        fact = (transfer.on.isoformat(), f"{direction} {transfer.fonorg} {transfer.numorg}")
        self._add("DepartmentTransferred", adult, item, fact, fields, rule, on=transfer.on)

    def _add(
        self,
        record: str,
        adult: Adult,
        item: dict[str, Any],
        fact: tuple[str, str],
        fields: Mapping[str, Any],
        rule: str,
        journey: str | None = None,
        on: date | None = None,
    ) -> None:
        household = self._household
        self.taken.append(
            Draft(
                record=record,
                key=self._key(record, adult, item, fact),
                subject=subject_of(household, adult),
                fields=fields,
                observed_at=self._observed_at,
                position=household.position,
                rule=rule,
                journey=journey,
                occurred_at=_midnight(on) if on else None,
            )
        )

    def _key(self, record: str, adult: Adult, item: dict[str, Any], fact: tuple[str, str]) -> Parts:
        """The same fact a second time (suspended, resumed, suspended under one date) gets DTREF beside its own date, or
        it would pass for a repetition. `told` keeps the last keys of this person."""
        key = (record, *household_key(self._household, adult), *fact)
        mark = self._digest(*key)[:8]
        if mark in item["told"]:
            return (*key, self._dtref.isoformat())
        item["told"] = [*item["told"], mark][-24:]
        return key


def household_key(household: Household, adult: Adult) -> Parts:
    """The source's own key of a person: payer, matricule, and NIR or else first name."""
    return (*household.key, *adult.own_key)


def subject_of(household: Household, adult: Adult) -> Subject:
    """Who the event is about. An MSA matricule is a NIR, whose is not said: the hub keeps it as no allocation number."""
    return Subject(
        birth_name=adult.birth_name,
        name=None if adult.name == adult.birth_name else adult.name,
        first_names=adult.first_names,
        birth_date=adult.birth_date.isoformat(),
        birth_day_known=adult.birth_day_known,
        sex=adult.sex,
        address=household.address,
        nir=adult.nir,
        matricule=household.key,
        numdemrsa=household.claim,
        own_key=household_key(household, adult),
    )


def reason_group(state: str, reasons: tuple[str, ...]) -> str | None:
    """The group of the reasons' codes; several groups, or a code that no table knows, are OTHER."""
    if state not in _REASONS or not reasons:
        return None
    groups = {_REASONS[state].to_hub(reason).ours for reason in reasons}
    return groups.pop() if len(groups) == 1 and UNKNOWN not in groups else "OTHER"


def departement_of(fonorg: str, numorg: str) -> str:
    """The département of a CAF by its number (its first two digits, three overseas); an MSA covers several."""
    if fonorg != "CAF":
        return UNKNOWN
    return _CORSICA.get(numorg) or (numorg if numorg.startswith("97") else numorg[:2])


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=PARIS)
