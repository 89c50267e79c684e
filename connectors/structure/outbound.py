"""To a structure: an addressed measure request, and what it must know of the person while that request is open.

The vocabulary follows DORA's orientations; the sender's kind is masked, reasons are codes, RSA is yes or no.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.sdk.codes import code_table
from hub.sdk.outbound import Attempt, EventView, Message, Nothing, Outcome, Recipient
from hub.sdk.phones import national
from hub.sdk.transports import Reply, outcome_of
from hub.sdk.transports.answers import clean_code

CODES = Path(__file__).parent / "codes"
REQUEST, NOTICE = "orientation", "notice"
_PATHS = {REQUEST: "/orientations", NOTICE: "/notices"}


def translate(view: EventView, recipient: Recipient) -> Message | Nothing:
    """One message for one event, by record; Nothing when what changed is not this partner's business."""
    return _BY_RECORD[view.record](view, recipient)


async def send(message: Message, attempt: Attempt) -> Outcome:
    """POST with the delivery's idempotency key; 409 `en_cours` means that the same key is being worked on."""
    settings = attempt.recipient.settings
    reply = await attempt.http.request(
        "POST",
        str(settings["url"]).rstrip("/") + _PATHS[message.action],
        json=message.body,
        headers={
            "idempotency-key": attempt.idempotency_key,
            "authorization": f"Bearer {attempt.secrets.get('api_key', '')}",
        },
    )
    answer = reply.json() if isinstance(reply, Reply) else None
    answer = answer if isinstance(answer, dict) else {}
    code, ack = clean_code(answer.get("code")), clean_code(answer.get("recu"))
    if isinstance(reply, Reply) and reply.status == 409 and code == "en_cours":
        return Outcome("unknown", code)
    return outcome_of(reply, now=attempt.http.clock(), code=code, ack=ack)


def _request(view: EventView, recipient: Recipient) -> Message | Nothing:
    measure = view.text("type") or view.text("sensitive.sensitive_type")
    if measure is None:
        return Nothing()
    body = {
        "orientation_id": view.text("measure_id"),
        "statut": "OUVERTE",
        "mesure": measure,
        "beneficiaire": _person(view, recipient, _names, _contact),
        "envoye_par": _masked(view),
        "expire_le": view.text("expires_on"),
    }
    if reason := view.text("reason_code"):
        body["motif_code"] = reason
    if start := view.text("period.starts_on"):
        body["periode"] = {"debut": start, "fin": view.text("period.ends_on")}
    return Message(REQUEST, body)


def _entitlement(view: EventView, recipient: Recipient) -> Message | Nothing:
    entitled = view.get("entitled")
    if entitled is None:
        return Nothing()
    return _notice(
        "droit_rsa",
        _person(view, recipient),
        rsa="oui" if entitled else "non",
        depuis=view.text("effective_on"),
    )


def _contact_changed(view: EventView, recipient: Recipient) -> Message | Nothing:
    """The channel that changed; a new address is not the structure's business, a protected person's phone neither."""
    name = {"PHONE": "telephones", "EMAIL": "courriel"}.get(view.get("channel"))
    contact = _contact(view)
    if name not in contact:
        return Nothing()
    person = {**_person(view, recipient), name: contact[name]}
    return _notice("coordonnees", person, modifie_le=view.text("modified_at"))


def _corrected(view: EventView, recipient: Recipient) -> Message | Nothing:
    return _notice("etat_civil", _person(view, recipient, _names))


def _transferred(view: EventView, recipient: Recipient) -> Message | Nothing:
    """Only a departure ends what the structure was asked for."""
    if view.get("direction") != "OUT":
        return Nothing()
    return _notice("depart_du_departement", _person(view, recipient), depuis=view.text("transferred_on"))


def _decided(view: EventView, recipient: Recipient) -> Message | Nothing:
    return _notice(
        "orientation",
        _person(view, recipient, _names, _contact),
        decision_id=view.text("decision_id"),
        decidee_le=view.text("decided_on"),
        envoye_par=_masked(view),
    )


def _referent(view: EventView, recipient: Recipient) -> Message | Nothing:
    """Whom to talk to: the professional's contact, never the structure behind (its name alone can reveal health)."""
    name = view.text("person.referent.name")
    if name is None:
        return Nothing()
    return _notice(
        "referent",
        _person(view, recipient),
        portee=code_table(CODES / "portees.csv").to_partner(view.text("scope") or ""),
        referent={
            "nom": name,
            "telephone": _phone(view.text("person.referent.phone")),
            "courriel": view.text("person.referent.email"),
        },
        debut=view.text("starts_on"),
        fin=view.text("ends_on"),
    )


_BY_RECORD: dict[str, Callable[[EventView, Recipient], Message | Nothing]] = {
    "MeasureRequested": _request,
    "RsaEntitlementChanged": _entitlement,
    "ContactChanged": _contact_changed,
    "PersonCorrected": _corrected,
    "DepartmentTransferred": _transferred,
    "OrientationDecided": _decided,
    "ReferentDesignated": _referent,
}


def _notice(nature: str, person: dict[str, Any], **more: Any) -> Message:
    return Message(NOTICE, {"nature": nature, "beneficiaire": person, **more})


def _person(
    view: EventView, recipient: Recipient, *parts: Callable[[EventView], dict[str, Any]]
) -> dict[str, Any]:
    """The person under the id that only this partner knows."""
    person: dict[str, Any] = {"reference": recipient.reference}
    for part in parts:
        person |= part(view)
    return person


def _names(view: EventView) -> dict[str, Any]:
    return {
        "nom_naissance": view.text("person.birth_name"),
        "nom_usage": view.text("person.name"),
        "prenoms": list(view.get("person.first_names") or ()),
    }


def _contact(view: EventView) -> dict[str, Any]:
    """What the view has of it: a channel that it does not show is left out, not told as empty."""
    known = view.get("person") or {}
    contact: dict[str, Any] = {}
    if "phones" in known:
        contact["telephones"] = [national(phone) for phone in known["phones"]]
    if "email" in known:
        contact["courriel"] = known["email"]
    return contact


def _masked(view: EventView) -> str:
    """Who sent the person: the network of the territory, whoever it was."""
    return f"SPIE {view.territory}"


def _phone(phone: str | None) -> str | None:
    """DORA takes ten digits."""
    return None if phone is None else national(phone)
