"""Where a file stands in its payer's sequence: baseline, monthly, daily, resend, late. Pure.

The hub keeps one memory per payer: `baseline` (DTREF of the first monthly file) and, for "monthly" and "daily", the DTREF
of the `last` file taken and of the one `before` it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from hub.sdk.inbound import Context, FileRefused, Notice, Parts


@dataclass(frozen=True, slots=True)
class Standing:
    """How this file is to be read for one payer. `previous` bounds "in the period", None = DTREF's month."""

    kind: str
    dtref: date
    baseline: bool
    before_baseline: bool
    late: bool
    previous: date | None

    def in_period(self, day: date) -> bool:
        """After the payer's previous DTREF of this kind; in DTREF's month when there is none."""
        if self.previous is None:
            return (day.year, day.month) == (self.dtref.year, self.dtref.month)
        return day > self.previous


def standing(context: Context, payer: Parts) -> Standing:
    """Raises FileRefused(older_dtref) when this payer's last file of the kind is younger."""
    memory = context.sender_memory.get(payer, {})
    dtref = date.fromisoformat(context.header["dtref"])
    kind = _kind(context, memory)
    last, before = _dates(memory, kind)
    baseline = _date(memory.get("baseline"))
    last_monthly = _dates(memory, "monthly")[0]
    if last and dtref < last:
        raise FileRefused(
            "older_dtref",
            f"DTREF {dtref} is older than {last}, the last {kind} file taken from {' '.join(payer)}: nothing was read",
        )
    previous = before if dtref == last else last
    if kind == "daily" and previous is None and last_monthly and last_monthly < dtref:
        previous = last_monthly
    return Standing(
        kind=kind,
        dtref=dtref,
        baseline=kind == "monthly" and baseline in (None, dtref),
        before_baseline=kind == "daily" and baseline is None,
        late=kind == "daily" and last_monthly is not None and dtref < last_monthly,
        previous=previous,
    )


def check(context: Context) -> None:
    """Raises FileRefused when a payer's last file forbids this one, or when it is meant for another département."""
    wanted = context.settings.get("departement")
    for departement in context.header["departements"]:
        if wanted and _same(departement, wanted) is False:
            raise FileRefused(
                "other_departement", f"this file is meant for département {departement}, not for {wanted}"
            )
    for payer in context.header["payers"]:
        standing(context, tuple(payer))


def notices(context: Context) -> Iterator[Notice]:
    """What a person should know before believing the result."""
    for departement in context.header["departements"]:
        if not _same(departement, context.territory):
            yield Notice("other_departement", f"the file is meant for département {departement} (IDEPARTE)")
    for payer in context.header["payers"]:
        where, name = standing(context, tuple(payer)), " ".join(payer)
        if where.before_baseline:
            yield Notice("no_baseline", f"{name}: no monthly file yet; entrants by TOP and FG only")
        if where.late:
            yield Notice(
                "late_daily", f"{name}: older than the last monthly file; the state known since is kept"
            )
        if context.header["kind"] == "R":
            yield Notice("resend", f"{name}: read as the {where.kind} file of {where.dtref}")


def payers(context: Context) -> list[dict[str, Any]]:
    """The payers of the file as the report shows them."""
    found = []
    for payer in map(tuple, context.header["payers"]):
        where = standing(context, payer)
        previous = where.previous.isoformat() if where.previous else None
        found.append(
            {"fonorg": payer[0], "numorg": payer[1], "baseline": where.baseline, "previous_dtref": previous}
        )
    return found


def whole(context: Context) -> list[Parts]:
    """The payers whose households are all in this file: one known before and not here is absent."""
    payers = map(tuple, context.header["payers"])
    return [payer for payer in payers if standing(context, payer).kind == "monthly"]


def after(context: Context) -> dict[Parts, dict[str, Any]]:
    """The payers' memory once the whole file was taken."""
    result = {}
    for payer in map(tuple, context.header["payers"]):
        memory, where = dict(context.sender_memory.get(payer, {})), standing(context, payer)
        last, before = _dates(memory, where.kind)
        if last != where.dtref:
            last, before = where.dtref, last
        memory[where.kind] = {"last": last.isoformat(), "before": before.isoformat() if before else None}
        if where.baseline:
            memory["baseline"] = where.dtref.isoformat()
        result[payer] = memory
    return result


def _kind(context: Context, memory: Mapping[str, Any]) -> str:
    """Monthly or daily. A resend (R) is its period's file: by its name, else by the DTREF that it repeats."""
    flux, name, dtref = context.header["kind"], context.file_name.upper(), context.header["dtref"]
    if flux != "R":
        return {"M": "monthly", "I": "daily"}[flux]
    if "RSABEM" in name or "RSABEI" in name:
        return "monthly" if "RSABEM" in name else "daily"
    for kind in ("monthly", "daily"):
        if dtref in memory.get(kind, {}).values():
            return kind
    return "monthly"


def _dates(memory: Mapping[str, Any], kind: str) -> tuple[date | None, date | None]:
    known = memory.get(kind, {})
    return _date(known.get("last")), _date(known.get("before"))


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _same(departement: str, territory: str) -> bool:
    return departement.lstrip("0") == territory.lstrip("0")
