"""To a mission locale: lines of a CSV in its drop folder, laid out by a profile; no NIR, RSA only as yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hub.sdk.outbound import EventView, Message, Nothing, Recipient
from hub.sdk.profile import profile_of

FOLDER = Path(__file__).parent
ACTION = "suivi"
_NATURES = {
    "OrientationDecided": "ORIENTATION",
    "RsaEntitlementChanged": "DROIT_RSA",
    "ContactChanged": "COORDONNEES",
    "PersonCorrected": "ETAT_CIVIL",
    "DepartmentTransferred": "DEPART",
    "ReferentDesignated": "REFERENT",
    "MeasureAnswered": "REPONSE_MESURE",
}
_WHO = frozenset({"birth_name", "first_names", "birth_date"})
_CHANNELS = {"PHONE": "phones", "EMAIL": "email", "ADDRESS": "address"}


def translate(view: EventView, recipient: Recipient) -> Message | Nothing:
    """One line per event; Nothing when the view leaves nothing of the fact itself."""
    fields = dict(view.fields)
    if not _tells(view, fields):
        return Nothing()
    values = {
        **fields,
        "nature": "ARRIVEE" if fields.get("direction") == "IN" else _NATURES[view.record],
        "message_id": view.event_id,
        "recipient": {"reference": recipient.reference, "their_id": recipient.their_id},
    }
    return Message(ACTION, profile_of(recipient.settings, FOLDER).row(ACTION, values))


def render(messages: Sequence[Message], settings: Mapping[str, Any]) -> bytes:
    """The lines, in order, as one file."""
    return profile_of(settings, FOLDER).render(ACTION, [message.body for message in messages])


def _tells(view: EventView, fields: dict[str, Any]) -> bool:
    """Whether the line would say something; of a contact only the channel that changed stays in `fields`."""
    match view.record:
        case "RsaEntitlementChanged":
            return fields.get("entitled") is not None
        case "ReferentDesignated":
            return view.get("person.referent") is not None
        case "ContactChanged":
            return _only_channel(view, fields)
        case "PersonCorrected":
            return bool(view.get("person"))
        case "DepartmentTransferred":
            return fields.get("direction") in ("IN", "OUT")
        case "MeasureAnswered":
            return fields.get("measure_id") is not None
        case _:
            return fields.get("decision_id") is not None


def _only_channel(view: EventView, fields: dict[str, Any]) -> bool:
    """An event of one channel knows the others only as of some earlier day."""
    wanted, person = _CHANNELS.get(view.get("channel")), view.get("person") or {}
    fields["person"] = {name: value for name, value in person.items() if name in _WHO or name == wanted}
    return wanted in person
