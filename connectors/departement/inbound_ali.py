"""WebRSA-ALI exports in: decided orientations, référents de parcours, changed contacts.

The hub is an operator (ALI) towards WebRSA; there is one export per operator of the territory, full (stock) or of what
changed (diff). One memory per person says what was reported; a stock file that comes first only fills it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from connectors.departement.formats import referential as codes
from connectors.departement.formats.dossier import Dossier, instant, read_dossier
from connectors.departement.news import Step
from hub.sdk.codes import code_table
from hub.sdk.inbound import (
    Context,
    Decision,
    Examined,
    FileRefused,
    Notice,
    Parts,
    Position,
    Reject,
)
from hub.sdk.xml import elements, refuse_unsafe, text

CODES = Path(__file__).parent / "codes"
_ROOT, _PARTS = "WebRSA-ALI", frozenset({"entete", "dossier"})
_WHOLE, _CHANGES = ("true", "1"), ("false", "0")


# ------------------------------------------------------------------ reading
def examine(source: BinaryIO, settings: Mapping[str, Any]) -> Examined:
    """First pass: safe, well formed to its end, with a header that holds; and the referential. Raises FileRefused."""
    refuse_unsafe(source)
    header: dict[str, Any] = {}
    records = 0
    for element, line in elements(source, _ROOT, _PARTS):
        if element.tag == "entete":
            header = _header(element, line)
        else:
            records += 1
    if not header:
        raise FileRefused("header_missing", "the export has no <entete>")
    header["referential"] = codes.load(settings.get("referential"))
    return Examined(header, records, (_sender(header),))


def begin(context: Context) -> Sequence[Notice]:
    """Raises FileRefused for an export older than the operator's last one: what it says has been overtaken."""
    last = context.sender_memory.get(_sender(context.header))
    if last is not None and context.header["generated_at"] < last["generated_at"]:
        raise FileRefused(
            "older_file",
            "a younger export of this operator was taken before; export again instead of this one",
        )
    if _baseline(context):
        return [
            Notice(
                "baseline",
                "first export of this operator, and a whole one: it is remembered, nothing is sent",
            )
        ]
    return []


def senders(context: Context) -> Sequence[Mapping[str, Any]]:
    """The operator whose export it is."""
    last = context.sender_memory.get(_sender(context.header))
    return [
        {
            "operator": context.header["operator"],
            "baseline": _baseline(context),
            "previous_export": last["generated_at"] if last else None,
        }
    ]


def read(source: BinaryIO, examined: Examined) -> Iterator[Dossier | Reject]:
    """Second pass: one dossier or reject at a time, in file order."""
    sexes, statuses = code_table(CODES / "civilites.csv"), code_table(CODES / "orient_statuts.csv")
    ordinal = 0
    for element, line in elements(source, _ROOT, _PARTS):
        if element.tag == "dossier":
            ordinal += 1
            yield read_dossier(
                element, Position(ordinal, line), examined.header["referential"], sexes, statuses
            )


def keys(record: Dossier) -> Sequence[Parts]:
    """One memory per person of WebRSA."""
    return (("person", record.person),)


def finish(context: Context, examined: Examined) -> Mapping[Parts, Mapping[str, Any]]:
    """When the operator's last export was made."""
    return {_sender(context.header): {"generated_at": context.header["generated_at"]}}


# ------------------------------------------------------------------ deciding
def decide(memory: Mapping[Parts, Mapping[str, Any]], record: Dossier, context: Context) -> Decision:
    """What is new since the person's memory. Of a person never seen before only what holds today is news: the newest
    orientation and open référents; what came before is remembered as history."""
    key = ("person", record.person)
    before = memory.get(key) or {}
    step = Step(record, before, context, silent=not before and _baseline(context))
    drafts = [*step.orientations(), *step.mandates(), *step.contacts()]
    outcome = "stock" if step.silent else "changed" if drafts else "unchanged"
    if record.rejects or step.rejects:
        outcome = outcome if drafts else "refused"
    return Decision(
        tuple(drafts),
        {key: step.after},
        Counter({"read": 1, "adults": 1, outcome: 1}),
        rejects=(*record.rejects, *step.rejects),
    )


def _sender(header: Mapping[str, Any]) -> Parts:
    return ("operator", header["operator"])


def _baseline(context: Context) -> bool:
    return context.header["stock"] and _sender(context.header) not in context.sender_memory


def _header(element: Any, line: int) -> dict[str, Any]:
    generated = instant(text(element, "date_generation"))
    operator, whole = text(element, "id_structure_ali"), text(element, "fichier_stock")
    if generated is None:
        raise FileRefused("header", "entete/date_generation is not YYYY-MM-DD HH:MM:SS", line)
    if operator is None or not operator.isdecimal():
        raise FileRefused("header", "entete/id_structure_ali is not a whole number", line)
    if whole not in (*_WHOLE, *_CHANGES):
        raise FileRefused("header", "entete/fichier_stock is neither true nor false", line)
    return {"generated_at": generated.isoformat(), "operator": operator, "stock": whole in _WHOLE}
