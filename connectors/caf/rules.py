"""Who is an entrant, and what changed: the decision table for CNAF files, row by row. Pure.

Memory: one entry per household (payer, matricule) with one item per person: state, role, whether the entitlement
period is open and an entrant was emitted in clear; all else as keyed digests. A person is found again by NIR, without
one by first name; when only one of the two files has the NIR, first name and birth date must both agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from connectors.caf.drafts import Drafts
from connectors.caf.formats.rsabe import Adult, Household, plain
from connectors.caf.sequence import Standing, standing
from hub.sdk.codes import code_table
from hub.sdk.inbound import Context, Decision, Notice, Parts

_CODES = Path(__file__).with_name("codes")
STATES = code_table(_CODES / "etatdosrsa.csv")
SUSPENSIONS = code_table(_CODES / "motisusversrsa.csv")
_STATE_ROWS = {row.theirs: row for row in STATES.rows}
_KEEPING = {row.theirs for row in SUSPENSIONS.rows if row.more["rights"] == "yes"}
_PAST_CLAIMS = 6

Item = dict[str, Any]


def decide(memory: Mapping[Parts, Mapping[str, Any]], household: Household, context: Context) -> Decision:
    """What one household leads to. `memory` holds its entry, if there is one."""
    counts: Counter[str] = Counter({"dropped:child": household.children, "dropped:other": household.others})
    counts["adults"] = sum(adult.own_key not in household.known_adults for adult in household.adults)
    counts["read"] = len(household.adults) + household.repeated_adults
    counts["duplicate"] = household.repeated_adults
    if household.duplicate:
        counts["duplicate"] += len(household.adults)
        del counts["dropped:child"], counts["dropped:other"]
        return Decision(counts=+counts)
    known = memory.get(household.key, {}).get("persons", [])
    teller = _Teller(household, context, [dict(item) for item in known])
    for adult in household.adults:
        counts[teller.adult(adult)] += 1
    teller.state_without_reason()
    persons = teller.items
    changed = {} if persons == known else {household.key: _entry(persons)}
    return Decision(tuple(teller.drafts.taken), changed, +counts, (*household.warnings, *teller.warnings))


def with_rights(household: Household, adult: Adult) -> bool:
    """TOPPERSDRODEVORSA = 1 and ETATDOSRSA 2 or 3, or 4 with at least one reason, each of which keeps the rights."""
    rights = _STATE_ROWS[household.state].more["rights"]
    if rights == "reasons":
        return adult.duties and bool(household.reasons) and _KEEPING.issuperset(household.reasons)
    return adult.duties and rights == "yes"


def _entry(persons: list[Item]) -> dict[str, Any]:
    """`open` tells the hub which households count as absent when a monthly file leaves them out."""
    return {"open": any(item["open"] for item in persons), "persons": persons}


def _digest_of(household: str) -> Callable[..., str]:
    """Keyed digests of one household's values: the hub's keyed digest of the household is the key, so that equal values
    of two households cannot be told to be equal."""
    key = bytes.fromhex(household)
    return lambda *parts: blake2b("\x1f".join(parts).encode(), key=key, digest_size=8).hexdigest()


class _Teller:
    """One household against its memory; `items` is the memory as it becomes."""

    def __init__(self, household: Household, context: Context, items: list[Item]) -> None:
        self.household, self.items = household, items
        self.standing: Standing = standing(context, household.payer)
        self.digest = _digest_of(context.digest("household", *household.key))
        self.drafts = Drafts(household, context, self.standing.dtref, self.digest)
        self.warnings: list[Notice] = []
        self.stock_imported = bool(context.settings.get("stock_imported"))
        self.state = _STATE_ROWS[household.state].ours
        self.ends = _STATE_ROWS[household.state].more["ends"] == "yes"
        self.claim = self.digest("claim", household.claim)
        self.address = self._address()

    def adult(self, adult: Adult) -> str:
        """Decide for one adult; gives the outcome by which he is counted."""
        digests = self._digests(adult)
        item = self._find(digests)
        if item is not None and self.claim in item["past"] and (item["open"] or self.ends):
            return "dropped:past_claim"
        if item is not None and item["open"]:
            if self.standing.late:
                return self._late(adult, item)
            if self.claim != item["claim"] and not adult.preceding_claim:
                return self._new_claim(adult, item, digests)
            return self._known(adult, item, digests)
        if with_rights(self.household, adult):
            return self._opening(adult, item, digests)
        if item is not None and not self.standing.late:
            item["state"] = self.state
        return self._dropped(adult)

    # ---------------------------------------------------------------- no open period

    def _opening(self, adult: Adult, item: Item | None, digests: Item, journey: str = "open") -> str:
        fired, where = self._fired(adult), self.standing
        if where.baseline or where.before_baseline:
            if not fired:
                if where.before_baseline:
                    return "dropped:before_baseline"
                item = self._remember(adult, item, digests, emitted=False)
                self._moved(adult, item, "IN", tell=False)
                self._moved(adult, item, "OUT", tell=False)
                return "stock"
            rules = fired
        elif where.late and item is not None:
            return "dropped:late"  # the monthly file read since knows better than this daily
        else:
            rules = [*fired, "DIFF"]
        self._entrant(adult, item, digests, rules, journey)
        return "entrant"

    def _entrant(
        self, adult: Adult, item: Item | None, digests: Item, rules: list[str], journey: str
    ) -> None:
        earlier = item is not None and (not item["open"] or journey == "renew")
        first_time = False if earlier else (True if self.stock_imported else None)
        item = self._remember(adult, item, digests, emitted=True)
        self._moved(adult, item, "IN")
        self.drafts.entrant(adult, item, rules, first_time, journey)
        self._moved(adult, item, "OUT")

    def _remember(self, adult: Adult, item: Item | None, digests: Item, *, emitted: bool) -> Item:
        """Open a period. What was told before is kept, so that no two facts ever share a source event id."""
        if item is None:
            item = {"told": [], "past": [], "nir": None}
            self.items.append(item)
        self._renew(item, digests)
        item.update(role=adult.role, state=self.state, open=True, emitted=emitted)
        return item

    def _renew(self, item: Item, digests: Item) -> None:
        """Keep what the file says; a NIR that it leaves out is not forgotten."""
        item.update(digests, nir=digests["nir"] or item["nir"])
        self._take_claim(item)

    def _take_claim(self, item: Item) -> None:
        """This claim is the present one; the one before is a past one, about which a later block says nothing."""
        before = item.get("claim")
        if before != self.claim:
            past = [claim for claim in (*item["past"], before) if claim not in (None, self.claim)]
            item["past"], item["claim"] = past[-_PAST_CLAIMS:], self.claim

    def _dropped(self, adult: Adult) -> str:
        row = _STATE_ROWS[self.household.state]
        if row.more["rights"] == "no":
            return f"dropped:{row.more['dropped']}"
        return "dropped:suspended" if adult.duties else "dropped:no_duties"

    # ---------------------------------------------------------------- open period

    def _new_claim(self, adult: Adult, item: Item, digests: Item) -> str:
        """A new NUMDEMRSA without NUMDEMRSAPRECE: the period is over, another may begin."""
        if with_rights(self.household, adult):
            return self._opening(adult, item, digests, "renew")
        self._take_claim(item)
        return "changed" if self._state_changed(adult, item, ends=True) else self._dropped(adult)

    def _known(self, adult: Adult, item: Item, digests: Item) -> str:
        entrant, before = False, len(self.drafts.taken)
        fired = self._fired(adult)
        self._moved(adult, item, "IN")
        if fired and not item["emitted"] and with_rights(self.household, adult):
            entrant = item["emitted"] = True
            self.drafts.entrant(adult, item, fired, False if item["past"] else None, "open")
            self._disagreement(fired)
        self._contact_and_civil(adult, item, digests)
        self._renew(item, digests)
        item["role"] = adult.role
        self._state_changed(adult, item, ends=self.ends)
        if entrant:
            return "entrant"
        return "changed" if len(self.drafts.taken) > before else "unchanged"

    def _contact_and_civil(self, adult: Adult, item: Item, digests: Item) -> None:
        if "address" in digests and digests["address"] != item.get("address"):
            moved = self.household.moved_on if digests.get("moved") != item.get("moved") else None
            self.drafts.address_changed(adult, item, moved, digests["address"])
        fields = [name for name in CIVIL if digests[name] != item[name]]
        if fields:
            self.drafts.corrected(adult, item, fields, self.digest(*(digests[name] for name in CIVIL)))

    def _state_changed(self, adult: Adult, item: Item, *, ends: bool) -> bool:
        """RsaEntitlementChanged when the state differs, then the transfer out; the last of them closes the journey."""
        before, taken = item["state"], len(self.drafts.taken)
        if before != self.state:
            self.drafts.entitlement_changed(adult, item, before, self.state)
        item["state"], item["open"] = self.state, not ends
        self._moved(adult, item, "OUT")
        if ends and len(self.drafts.taken) > taken:
            self.drafts.taken[-1] = replace(self.drafts.taken[-1], journey="close")
        return len(self.drafts.taken) > taken

    def _moved(self, adult: Adult, item: Item, direction: str, *, tell: bool = True) -> None:
        """DepartmentTransferred for an organism or day that is new; the household's data say it every month again."""
        transfer = self.household.arrived if direction == "IN" else self.household.left
        if transfer is None:
            return
        value = self.digest(direction, transfer.fonorg, transfer.numorg, transfer.on.isoformat())
        if item.get(direction) != value and tell:
            self.drafts.transferred(adult, item, direction, transfer)
        item[direction] = value

    def _late(self, adult: Adult, item: Item) -> str:
        """A daily older than the last monthly: its witnesses of an entry count, the state known since stays."""
        fired = self._fired(adult)
        if (
            not fired
            or item["emitted"]
            or self.claim != item["claim"]
            or not with_rights(self.household, adult)
        ):
            return "unchanged"
        item["emitted"] = True
        self.drafts.entrant(adult, item, fired, False if item["past"] else None, "open")
        self._disagreement(fired)
        return "entrant"

    # ---------------------------------------------------------------- what the rules look at

    def _fired(self, adult: Adult) -> list[str]:
        """FG (household's event ENTDED in the period, unless TOP denies it for this adult) and TOP."""
        in_period = any(map(self.standing.in_period, self.household.entered_on))
        rules = ["FG"] if in_period and adult.entered is not False else []
        return [*rules, "TOP"] if adult.entered else rules

    def _find(self, digests: Item) -> Item | None:
        for item in self.items:
            if digests["nir"] and item["nir"] == digests["nir"]:
                return item
        for item in self.items:
            if item["first"] != digests["first"] or (item["nir"] and digests["nir"]):
                continue
            neither = not item["nir"] and not digests["nir"]
            if neither or item["BIRTH_DATE"] == digests["BIRTH_DATE"]:
                return item
        return None

    def _digests(self, adult: Adult) -> Item:
        known = "day" if adult.birth_day_known else "month"
        return {
            "nir": self.digest("nir", adult.nir) if adult.nir else None,
            "first": self.digest("first_name", plain(adult.first_names[0])),
            "BIRTH_NAME": self.digest("BIRTH_NAME", adult.birth_name),
            "NAME": self.digest("NAME", adult.name),
            "FIRST_NAMES": self.digest("FIRST_NAMES", *adult.first_names),
            "BIRTH_DATE": self.digest("BIRTH_DATE", adult.birth_date.isoformat(), known),
            "SEX": self.digest("SEX", adult.sex or ""),
            **self.address,
        }

    def _address(self) -> Item:
        """The household's current address; nothing when the file gives none, so that the known one stays."""
        address, moved_on = self.household.address, self.household.moved_on
        if address is None:
            return {}
        parts = (*address.lines, address.postal_code, address.insee_code, address.commune)
        moved = self.digest("moved", moved_on.isoformat()) if moved_on else None
        return {"address": self.digest("address", *(part or "" for part in parts)), "moved": moved}

    def _disagreement(self, fired: list[str]) -> None:
        self._warn(
            "entrant_disagreement",
            f"{' and '.join(fired)} make an entrant of a person whose rights were known already",
        )

    def state_without_reason(self) -> None:
        if self.household.state == "4" and not self.household.reasons:
            self._warn("state_4_without_reason", "ETATDOSRSA 4 without a suspension reason: not with rights")

    def _warn(self, code: str, what: str) -> None:
        position = self.household.position
        self.warnings.append(Notice(code, f"line {position.line}, household {position.ordinal}: {what}"))


CIVIL = ("BIRTH_NAME", "NAME", "FIRST_NAMES", "BIRTH_DATE", "SEX")
