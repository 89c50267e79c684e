"""What in a dossier of WebRSA is news: orientations, référents and contacts against what the person's memory holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from connectors.departement.formats import referential as codes
from connectors.departement.formats.dossier import PARIS, Dossier, Mandate, Orientation
from hub.sdk.codes import code_table
from hub.sdk.inbound import Context, Draft, Parts, Reject, Subject
from hub.sdk.phones import international

CODES = Path(__file__).parent / "codes"


class Step:
    """One dossier against its memory; `after` is what the memory becomes."""

    def __init__(
        self, dossier: Dossier, before: Mapping[str, Any], context: Context, *, silent: bool
    ) -> None:
        self.dossier, self.before, self.context, self.silent = dossier, before, context, silent
        self.rejects: list[Reject] = []
        self.after: dict[str, Any] = {
            "orientations": dict(before.get("orientations", {})),
            "mandates": dict(before.get("mandates", {})),
            "contacts": dict(before.get("contacts", {})),
        }
        self.today = context.now.astimezone(PARIS).date()
        self.made_at = datetime.fromisoformat(context.header["generated_at"])

    def orientations(self) -> Iterator[Draft]:
        decided = sorted(self.dossier.orientations, key=lambda o: (o.rank or 0, o.on, int(o.number)))
        for orientation in decided:
            said = [orientation.on.isoformat(), orientation.type, orientation.structure, orientation.rank]
            known = self.after["orientations"].get(orientation.number)
            if known == said:
                continue
            history = not self.before and orientation is not decided[-1]
            if self.silent or history:
                self.after["orientations"][orientation.number] = said
                continue
            fields = self._orientation_fields(orientation)
            if fields is not None:
                self.after["orientations"][orientation.number] = said
                yield self._draft(
                    "OrientationDecided", _orientation_key(orientation.number, said), fields, "orientation",
                    corrects=known and _correction(orientation.number, known, said),
                )  # fmt: skip

    def mandates(self) -> Iterator[Draft]:
        for mandate in sorted(self.dossier.mandates, key=lambda m: (m.ends_on is None, m.starts_on)):
            name = f"{mandate.structure}/{mandate.referent or ''}/{mandate.starts_on.isoformat()}"
            ends = mandate.ends_on.isoformat() if mandate.ends_on else None
            known = self.after["mandates"].get(name)
            if known == [ends]:
                continue
            over = mandate.ends_on is not None and mandate.ends_on < self.today
            if self.silent or (known is None and over):
                self.after["mandates"][name] = [ends]
                continue
            partner = self._partner(mandate.structure, "id_structure_referente")
            if partner is not None:
                self.after["mandates"][name] = [ends]
                yield self._draft(
                    "ReferentDesignated",
                    ("referent", self.dossier.person, name, ends or ""),
                    {
                        "scope": "UNIQUE",
                        "structure": partner,
                        "starts_on": mandate.starts_on,
                        "ends_on": mandate.ends_on,
                    },
                    "referent",
                    extra=self._referent(mandate),
                )

    def contacts(self) -> Iterator[Draft]:
        """A channel that differs from what WebRSA last said; what it has said for the first time is no change."""
        subject = self.dossier.subject
        for channel, value in _channels(subject).items():
            if value is None:
                continue
            digest = self.context.digest("contact", channel, value)
            known = self.after["contacts"].get(channel)
            self.after["contacts"][channel] = digest
            if known in (None, digest) or self.silent:
                continue
            moment = self.dossier.modified.get(channel)
            yield self._draft(
                "ContactChanged",
                ("contact", self.dossier.person, channel, digest, (moment or self.made_at).isoformat()),
                {"channel": channel, "modified_at": moment, "consent": {"phone": None, "email": None}},
                "contact",
                subject=_only(subject, channel),
            )

    def _orientation_fields(self, orientation: Orientation) -> dict[str, Any] | None:
        family = self._family(orientation.type)
        crossing = next((row for row in self.context.codes["crosswalk"] if row["webrsa"] == family), None)
        if crossing is None:
            return self._reject(
                "unknown_code", "type_orient", "no family for this type: set `types_orientation`"
            )
        if orientation.on > self.today:
            return self._reject("date_in_future", "date_orient", "an orientation begins today at the latest")
        partner = self._partner(orientation.structure, "structure_referente")
        if partner is None:
            return None
        return {
            "decision_id": str(
                UUID(hex=self.context.digest("decision", "webrsa", orientation.number)[:32], version=4)
            ),
            "parcours": crossing["casf"].upper(),
            "organism": self.context.codes["structures"][orientation.structure]["organism"],
            "structure": partner,
            "decided_on": orientation.on,
            "decider": "PCD",
            "proposal_outcome": "NONE",
            "proposal_refused_reason": None,
            "rank": orientation.rank,
            "default_reason": None,
        }

    def _family(self, number: str) -> str | None:
        """EMPLOI, SOCIOPRO or SOCIAL: by the partner's own table, else by the names of the type and its parents."""
        own = self.context.settings.get("types_orientation") or {}
        table = code_table(CODES / "types_orientation.csv")
        for known, label in codes.type_labels(self.context.header["referential"], number):
            if known in own:
                return str(own[known])
            family = table.to_hub(codes.folded(label))
            if family.known:
                return family.ours
        return None

    def _partner(self, structure: str, field: str) -> str | None:
        row = self.context.codes["structures"].get(structure)
        if row is None:
            return self._reject(
                "structure_not_mapped", field, "this id is not in the territory's structures.csv"
            )
        return row["partner"]

    def _referent(self, mandate: Mandate) -> dict[str, Any]:
        """The professional's contact, from the referential; it lives in the event's sealed block only."""
        row = self.context.header["referential"]["referents"].get(mandate.referent or "")
        if row is None:
            return {"referent": None}
        name = " ".join(filter(None, (row.get("prenom"), row.get("nom"))))
        phone = row.get("numtel")
        return {
            "referent": {"name": name, "phone": phone and international(phone), "email": row.get("email")}
        }

    def _reject(self, reason: str, field: str, detail: str) -> None:
        self.rejects.append(Reject(self.dossier.position, reason, field, detail))

    def _draft(
        self,
        record: str,
        key: Parts,
        fields: Mapping[str, Any],
        rule: str,
        subject: Subject | None = None,
        extra: Mapping[str, Any] | None = None,
        corrects: Mapping[str, Any] | None = None,
    ) -> Draft:
        return Draft(
            record, key, subject or self.dossier.subject, fields, self.made_at, self.dossier.position, rule,
            extra_person=extra or {}, corrects=corrects,
        )  # fmt: skip


def _orientation_key(number: str, said: Sequence[Any]) -> Parts:
    return ("orientation", number, *("" if value is None else str(value) for value in said))


def _correction(number: str, known: Sequence[Any], said: Sequence[Any]) -> dict[str, Any]:
    """The same orientation with other content: another day only, or another orientation."""
    same = list(known[1:3]) == list(said[1:3])
    return {"key": _orientation_key(number, known), "kind": "DATE_CORRECTED" if same else "ENTERED_IN_ERROR"}


def _channels(subject: Subject) -> dict[str, str | None]:
    """What WebRSA says of each channel as one text; None when it says nothing."""
    address = subject.address
    lines = None
    if address is not None and (address.lines or address.postal_code):
        lines = "|".join((*address.lines, address.postal_code or "", address.commune or ""))
    return {"PHONE": "|".join(sorted(subject.phones)) or None, "EMAIL": subject.email, "ADDRESS": lines}


def _only(subject: Subject, channel: str) -> Subject:
    """The subject with the contact of one channel: the others are not news."""
    return replace(
        subject,
        phones=subject.phones if channel == "PHONE" else (),
        email=subject.email if channel == "EMAIL" else None,
        address=subject.address if channel == "ADDRESS" else None,
    )
