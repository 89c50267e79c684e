"""To the département: entrants for the orientation cell, changes, and answers to its fiches, as CSV lines by a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.departement.fiche import fiche_number
from hub.sdk.codes import code_table
from hub.sdk.outbound import EventView, Message, Nothing, Recipient
from hub.sdk.profile import profile_of

FOLDER = Path(__file__).parent
ENTRANTS, CHANGES, ANSWERS = "entrants", "modifications", "retours"
_ACTIONS = {"NewRsaEntrant": ENTRANTS, "MeasureAnswered": ANSWERS}
_NATURES = {
    "RsaEntitlementChanged": "DROIT_RSA",
    "ContactChanged": "COORDONNEES",
    "PersonCorrected": "ETAT_CIVIL",
    "DepartmentTransferred": "MUTATION",
}
_WHO = frozenset({"birth_name", "name", "first_names", "birth_date"})
_CHANNELS = {"PHONE": "phones", "EMAIL": "email", "ADDRESS": "address"}


def translate(view: EventView, recipient: Recipient) -> Message | Nothing:
    """One line per event, in the file of its action."""
    values = _values(view, recipient)
    if values is None:
        return Nothing()
    action = _ACTIONS.get(view.record, CHANGES)
    values |= {
        "nature": _NATURES.get(view.record),
        "recipient": {
            "reference": recipient.reference,
            "their_id": recipient.their_id,
            "released": recipient.released,
        },
    }
    return Message(action, profile_of(recipient.settings, FOLDER).row(action, values))


def render(messages: Sequence[Message], settings: Mapping[str, Any]) -> bytes:
    """The lines of one action, in order, as one file. Raises ValueError when actions are mixed."""
    actions = {message.action for message in messages}
    if len(actions) != 1:
        raise ValueError(f"a file holds the lines of one action, not of {sorted(actions)}")
    return profile_of(settings, FOLDER).render(actions.pop(), [message.body for message in messages])


def _values(view: EventView, recipient: Recipient) -> dict[str, Any] | None:
    """The view's fields and what a line makes of them; None when it would say nothing."""
    fields = dict(view.fields)
    match view.record:
        case "NewRsaEntrant":
            return fields | {"droits_rsa": "oui", "situation": view.text("role")}
        case "RsaEntitlementChanged":
            state = code_table(FOLDER / "codes" / "droits_rsa.csv").to_partner(view.text("after") or "")
            return fields | {"droits_rsa": state} if state else None
        case "DepartmentTransferred":
            return _transfer(view, fields)
        case "ContactChanged":
            return _contact(view, fields)
        case "MeasureAnswered":
            return _answer(view, recipient, fields)
        case _:
            return fields if view.get("person") else None


def _transfer(view: EventView, fields: dict[str, Any]) -> dict[str, Any] | None:
    words = {"OUT": "départ vers", "IN": "arrivée de"}.get(view.get("direction"))
    return fields | {"situation": f"{words} {view.text('other_departement') or '?'}"} if words else None


def _contact(view: EventView, fields: dict[str, Any]) -> dict[str, Any] | None:
    """Only the channel that changed: an event knows the others as of some earlier day."""
    wanted, person = _CHANNELS.get(view.get("channel")), view.get("person") or {}
    if wanted not in person:
        return None
    return fields | {
        "person": {name: value for name, value in person.items() if name in _WHO or name == wanted}
    }


def _answer(view: EventView, recipient: Recipient, fields: dict[str, Any]) -> dict[str, Any] | None:
    """The fiche's return columns: true and false as WebRSA writes them, empty while the provider has not decided."""
    identifier, answer = view.text("measure_id"), view.get("answer")
    if identifier is None or answer not in ("ACCEPTED", "REFUSED", "PENDING"):
        return None
    return fields | {
        "fiche": fiche_number(identifier),
        "reception": "true",
        "retenu": {"ACCEPTED": "true", "REFUSED": "false"}.get(answer),
        "rejete_motif": _motive(view, recipient) if answer == "REFUSED" else None,
    }


def _motive(view: EventView, recipient: Recipient) -> str | None:
    reason = view.text("reason_code")
    own = (recipient.settings.get("rejete_motifs") or {}).get(reason)
    if own is not None or reason is None:
        return None if own is None else str(own)
    table = code_table(FOLDER / "codes" / "rejete_motifs.csv")
    return table.to_partner(reason) or table.to_partner("OTHER")
