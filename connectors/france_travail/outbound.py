"""To France Travail: one orientation decision. `translate` gives the wanted orientation, `send` reads what is there and
chooses the verb, because a decision acts on the *current* orientation and bears no id of its own.

The table is that of events.md ("France Travail, step by step"); body codes count, not HTTP.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from connectors.france_travail.api import Api, Person
from hub.sdk.codes import code_table
from hub.sdk.outbound import Attempt, EventView, Lookup, Message, Nothing, Outcome, Recipient

CODES = Path(__file__).parent / "codes"
ACTION = "orientation"
DEFAULT_REASON = "APPRECIATION_DIFFERENTE"

Verdict = Literal["ours", "decide", "other", "unknown"]


def translate(view: EventView, recipient: Recipient) -> Message | Nothing:
    """The wanted orientation in France Travail's codes; Nothing for its own decision by default, and for codes that it
    does not have."""
    settings = recipient.settings
    parcours = _parcours(view.text("parcours"), settings)
    organism = code_table(CODES / "organismes.csv").to_partner(view.text("organism") or "")
    decided_on, born = view.text("decided_on"), view.text("person.birth_date")
    if view.get("decider") == "FT_DEFAULT" or not (parcours and organism and decided_on and born):
        return Nothing()
    reasons = code_table(CODES / "motifs_refus.csv")
    body: dict[str, Any] = {
        "date_naissance": born,
        "parcours": parcours,
        "organisme": organism,
        "date_decision": decided_on,
        "agent_decision": settings["agent"],
        "organisme_decision": settings["organisme_decision"],
        "motif_refus": reasons.to_partner(view.text("proposal_refused_reason") or "") or DEFAULT_REASON,
    }
    if view.text("previous.decided_on"):
        body["precedente"] = {
            "parcours": _parcours(view.text("previous.parcours"), settings),
            "organisme": code_table(CODES / "organismes.csv").to_partner(
                view.text("previous.organism") or ""
            ),
            "date_decision": view.text("previous.decided_on"),
        }
    return Message(ACTION, body)


async def send(message: Message, attempt: Attempt) -> Outcome:
    """Find the person, read the orientation in force, decide only where the table says so."""
    api = Api(attempt)
    person = await api.find(message.body["date_naissance"])
    if isinstance(person, Outcome):
        return person
    return replace(await _decide(api, person, message.body), learned=person.learned)


async def look_up(message: Message, attempt: Attempt) -> Lookup:
    """What became of a decision that may have arrived: there, certainly not, or nobody can tell (then it is asked again)."""
    api = Api(attempt)
    person = await api.find(message.body["date_naissance"])
    if isinstance(person, Outcome):
        return Lookup("cannot_tell", code=person.code)
    current = await api.read(person)
    if isinstance(current, Outcome):
        return Lookup("cannot_tell", code=current.code)
    match verdict(current, message.body):
        case "ours":
            return Lookup("applied")
        case "decide":
            return Lookup("not_there")
        case _:
            # somebody decided otherwise: ours may have been there before
            return Lookup("cannot_tell", code="ALREADY_DECIDED")


async def _decide(api: Api, person: Person, wanted: dict[str, Any]) -> Outcome:
    current = await api.read(person)
    if isinstance(current, Outcome):
        return current
    match verdict(current, wanted):
        case "ours":
            return Outcome("delivered")
        case "other":
            return Outcome("refused", "ALREADY_DECIDED")
        case "unknown":
            return Outcome("refused", "UNKNOWN_STATE")
        case _:
            return await api.decide(person, decision(current, wanted))


def verdict(current: dict[str, Any], wanted: dict[str, Any]) -> Verdict:
    """Pure: what the orientation in force means for the wanted one."""
    match current.get("statut"):
        case "PRECONISE":
            return "decide"
        case "DECIDE":
            made = current.get("decision") or {}
            seen = {
                "parcours": current.get("parcours"),
                "organisme": current.get("organisme"),
                "date_decision": str(made.get("date_decision") or "")[:10],
            }
            if all(wanted[name] == value for name, value in seen.items()):
                return "ours" if made.get("agent_decision") == wanted["agent_decision"] else "other"
            return "decide" if seen == wanted.get("precedente") else "other"
        case _:
            return "unknown"


def decision(current: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Pure: accept what is proposed, or refuse it and set another in the same call (a decision of the PCD, no refusal by
    the person)."""
    call = {name: wanted[name] for name in ("date_decision", "organisme_decision", "agent_decision")}
    if (current.get("parcours"), current.get("organisme")) == (wanted["parcours"], wanted["organisme"]):
        return {"etat_decision": "ACCEPTEE", **call}
    replaced = {name: wanted[name] for name in ("motif_refus", "parcours", "organisme")}
    return {"etat_decision": "REFUSEE", **call, **replaced}


def _parcours(ours: str | None, settings: Any) -> str | None:
    own = (settings.get("parcours") or {}).get(ours)
    return own or code_table(CODES / "parcours.csv").to_partner(ours or "")
