"""POS_W in: a fiche de prescription sent to a provider becomes a measure request to the partner behind its convention.

`actions.csv` of the territory says which provider, measure, expiry and funding a convention means; a convention that it lacks
is a reject. The kind of a sensitive measure goes into the sealed block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, BinaryIO

from connectors.departement.fiche import measure_id
from connectors.departement.formats.dossier import PARIS
from connectors.departement.formats.pos_w import Positioning, positioning, rows
from hub.sdk.inbound import Context, Decision, Draft, Examined, Notice, Parts, Reject


def examine(source: BinaryIO, settings: Mapping[str, Any]) -> Examined:
    """First pass: encoding, columns and quoting of the whole file. Raises FileRefused."""
    return Examined({}, sum(1 for _ in rows(source)))


def begin(context: Context) -> Sequence[Notice]:
    """Any file may come again: it covers a window of days, and a fiche is known by its number."""
    return []


def senders(context: Context) -> Sequence[Mapping[str, Any]]:
    """The département alone; the file says nothing of it."""
    return []


def read(source: BinaryIO, examined: Examined) -> Iterator[Positioning | Reject]:
    """Second pass: one row at a time."""
    for position, cells in rows(source):
        yield positioning(position, cells)


def keys(record: Positioning) -> Sequence[Parts]:
    """One memory per fiche."""
    return (("fiche", str(record.fiche)),)


def decide(memory: Mapping[Parts, Mapping[str, Any]], record: Positioning, context: Context) -> Decision:
    """A draft for a fiche that is new or whose day of transmission changed."""
    key = ("fiche", str(record.fiche))
    known = memory.get(key)
    if record.answered:
        return _without("dropped:already_answered")
    action = context.codes["actions"].get(record.convention)
    if action is None:
        return _rejected(
            record, "unknown_convention", "this convention number is not in the territory's actions.csv"
        )
    if known is not None and known["convention"] != record.convention:
        return _rejected(
            record,
            "convention_changed",
            "the request has left to the first provider: make another fiche in WebRSA",
        )
    sent_on = record.sent_on or record.extracted_on
    said = {"convention": record.convention, "sent_on": sent_on.isoformat()}
    if known == said:
        return _without("unchanged")
    draft = Draft(
        record="MeasureRequested",
        key=_key(record, said),
        subject=record.subject,
        fields=_fields(record, action, sent_on, context),
        observed_at=datetime.combine(record.extracted_on, time(), PARIS).astimezone(UTC),
        position=record.position,
        rule="positionnement",
        sensitive=_sensitive(action, context),
        corrects=known and {"key": _key(record, known), "kind": "DATE_CORRECTED"},
        addressee=action["partner"],
    )
    return Decision((draft,), {key: said}, Counter(read=1, adults=1, changed=1))


def finish(context: Context, examined: Examined) -> Mapping[Parts, Mapping[str, Any]]:
    """Nothing is remembered of the file as a whole."""
    return {}


def _fields(record: Positioning, action: Mapping[str, Any], sent_on: Any, context: Context) -> dict[str, Any]:
    prescriber = context.codes["structures"].get(record.structure or "")
    return {
        "measure_id": str(measure_id(record.fiche, context.digest)),
        "type": None if _sensitive(action, context) else action["measure_type"],
        "addressee": action["partner"],
        "prescriber": prescriber["partner"] if prescriber else None,
        "reason_code": None,
        "expires_on": sent_on + timedelta(days=action["expiry_days"]),
        "person_informed_on": None,
        "period": None,
        "funding_line": action.get("funding_line"),
    }


def _sensitive(action: Mapping[str, Any], context: Context) -> dict[str, str] | None:
    """An unknown type counts as sensitive: accept refuses it, and its name is nowhere in clear until then."""
    kind = context.codes["measure_types"].get(action["measure_type"])
    return {"sensitive_type": action["measure_type"]} if kind is None or kind["sensitive"] else None


def _key(record: Positioning, said: Mapping[str, str]) -> Parts:
    return ("fiche", str(record.fiche), said["convention"], said["sent_on"])


def _without(outcome: str) -> Decision:
    return Decision(counts=Counter({"read": 1, "adults": 1, outcome: 1}))


def _rejected(record: Positioning, reason: str, detail: str) -> Decision:
    reject = Reject(record.position, reason, "action_numero_convention", detail)
    return Decision(counts=Counter(read=1, adults=1, refused=1), rejects=(reject,))
