"""From a draft to the row of an event: who it is, whether the sender may say so, the facts, the sealed body.

A fold over the persons of one batch, without IO: what is refused leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from hub.intake.results import Accepted, Incoming, NotTaken, Refusal, Result
from hub.intake.standing import OtherPayer, Request, Standing, facts_of, journey_of, relate
from hub.log.codec import Codec
from hub.log.headers import event_id, event_source
from hub.log.registry import FileRegistry, RecordSchema
from hub.log.writer import Invalid
from hub.people.identity import Identity
from hub.people.keys import MasterKey
from hub.people.matching import Reference, Refused
from hub.people.profile import Profile, new_profile, person_block, update
from hub.people.store import People, Person
from hub.rights.configuration import Configuration
from hub.rights.route import HUB, Facts, may_emit, table
from hub.rights.territory import measure_refusal
from hub.rights.told import echo_hash
from hub.sdk.inbound import Draft
from hub.sdk.manifest import Connector
from hub.sdk.numbers import is_invented_nir

MAX_BODY = 1_000_000
"""Bytes of a framed body; the topics take 1 MiB with headers and key."""

ENTITLED = frozenset({"OPEN", "OPEN_SUSPENDED", "PAYMENT_SUSPENDED"})
"""States in which an RSA right is open (RsaEntitlementChanged.entitled)."""


@dataclass(slots=True)
class Row:
    """A row of `event` to be."""

    no: int
    id: UUID
    source: str
    source_event_id: str
    canonical: bytes
    record: str
    version: int
    emitter: str
    flow: str
    person: UUID
    journey: UUID | None
    causation: UUID | None
    body: bytes
    body_hash: bytes
    facts: dict[str, Any]
    matter: str | None
    occurred_at: datetime


@dataclass(slots=True)
class Builder:
    """One batch: its sender, its persons locked and read, and the rows made so far. `numbers` are drawn event numbers,
    the smallest last; gaps are normal. `accepted_at` is the real clock's time, `now` the hub's."""

    configuration: Configuration
    connector: Connector
    partner: str
    flow: str
    file: str | None
    allow_real_data: bool
    registry: FileRegistry
    codec: Codec
    master: MasterKey
    now: datetime = field(init=False)
    accepted_at: datetime = field(init=False)
    today: date = field(init=False)
    people: People = field(init=False)
    standings: dict[UUID, Standing] = field(default_factory=dict)
    requests: Mapping[str, Request] = field(default_factory=dict)
    told: Mapping[tuple[UUID, str], bytes] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def source(self) -> str:
        return event_source(self.configuration.territory.id, self.partner, self.flow)

    def take(
        self,
        item: Incoming,
        identity: Identity,
        reference: Reference | None,
        source_event_id: str,
        canonical: bytes,
    ) -> Result:
        """Decide one item and fold it in; what is refused leaves nothing behind."""
        found = None
        try:
            self._invented(identity)
            found = self.people.resolve(identity, uuid4, reference)
            if isinstance(found.decision, Refused):
                raise Refusal(found.decision.reason)
            person = self.people.by_id[found.person]
            if person.erasing:
                raise Refusal("person_being_erased")
            row = self._row(item.draft, person, source_event_id, canonical)
        except (Refusal, Invalid, OtherPayer) as error:
            if found is not None:
                self.people.forget(found)
            return _not_taken(error)
        for kind in found.gains.added:
            self.rows.append(self._linked(person, kind, found.decision.rule, row.id))
        self.rows.append(row)
        self.people.keep(found)
        return Accepted(row.id, row.no, self.accepted_at)

    def _invented(self, identity: Identity) -> None:
        """Until people's rights are built only invented people enter (NIR of birthplace 99 999 or commune 990)."""
        nir = identity.identifiers.get("nir")
        if nir is not None and not self.allow_real_data and not is_invented_nir(nir):
            raise Refusal("not_invented", "nir", "this hub takes invented people only (HUB_ALLOW_REAL_DATA)")

    def _row(self, draft: Draft, person: Person, source_event_id: str, canonical: bytes) -> Row:
        record, schema = draft.record, self.registry.get(draft.record)
        state = self.standings.setdefault(person.id, Standing(person.id))
        if person.profile is None:
            profile = new_profile(draft.subject, draft.observed_at)
        else:
            profile = update(person.profile, draft.subject, record, draft.observed_at).profile
        request = self.requests.get(str(draft.fields.get("measure_id")))
        if record == "MeasureRequested":
            self._own_measure(request, person)
            request = None
        fields = self._filled(draft, schema, state, request)
        facts = self._facts(draft, fields, state, profile, request)
        self._may_emit(draft, fields, facts)
        no = self.numbers.pop()
        before = replace(state, journeys=[replace(j) for j in state.journeys])
        journey = journey_of(before, draft, no, self._payer(draft), uuid4())
        clear = self._clear(draft, fields, journey.id if journey else None)
        matter = schema.matter_key(clear)
        block = {**person_block(profile), **draft.extra_person}
        self._echo(record, person.id, matter, {**clear, "person": block})
        identifier = event_id(self.source, source_event_id)
        body = self._seal(record, identifier, person.id, clear, block, draft.sensitive)
        state.journeys = before.journeys
        relate(state, record, fields, self.partner, no, self.configuration)
        if record == "OrientationDecided":
            state.orientation = {name: fields[name] for name in ("parcours", "organism", "decided_on")}
        person.changed, person.profile = person.changed or profile != person.profile, profile
        return self._made(
            no, identifier, source_event_id, canonical, schema, person.id, clear, body,
            replace(facts, matter=matter), draft.occurred_at or draft.observed_at,
        )  # fmt: skip

    def _filled(
        self, draft: Draft, schema: RecordSchema, state: Standing, request: Request | None
    ) -> dict[str, Any]:
        """With what only accept knows: the orientation in force before, an answer's lateness; and whether a right is open,
        which is all that most recipients learn of it."""
        fields = dict(draft.fields)
        if "previous" in schema.fields:
            fields["previous"] = dict(state.orientation) if state.orientation else None
        if "entitled" in schema.fields:
            fields["entitled"] = fields.get("after") in ENTITLED
        if "late" in schema.fields and request is not None and request.expires_on is not None:
            fields["late"] = self.today > request.expires_on
        return fields

    def _facts(
        self,
        draft: Draft,
        fields: Mapping[str, Any],
        state: Standing,
        profile: Profile,
        request: Request | None,
    ) -> Facts:
        sensitive = draft.sensitive is not None or (
            request is not None and request.measure_type == "sensitive"
        )
        commune = profile.address.insee_code if profile.address else None
        area = self.configuration.territory.pilot_area(commune, self.today)
        return facts_of(
            state, draft.record, fields, self.partner, self.configuration, self.today, area, request,
            draft.addressee, sensitive,
        )  # fmt: skip

    def _own_measure(self, earlier: Request | None, person: Person) -> None:
        """A measure id stands for one request: of this sender, about this person."""
        if earlier is not None and (earlier.emitter != self.partner or earlier.person != person.id):
            raise Refusal(
                "measure_id_in_use",
                "measure_id",
                "this measure id is another request's; give it one of its own",
            )

    def _may_emit(self, draft: Draft, fields: Mapping[str, Any], facts: Facts) -> None:
        refusal = may_emit(self.partner, draft.record, facts, self.configuration)
        if refusal is not None:
            raise Refusal(refusal, detail=table().refusals.get(refusal, ""))
        if draft.record == "MeasureRequested":
            problem = measure_refusal(
                self.configuration.territory,
                type=fields.get("type"),
                sensitive_type=(draft.sensitive or {}).get("sensitive_type"),
                addressee_kind=self.configuration.kind_of(fields["addressee"]),
                on=self.today,
            )
            if problem is not None:
                raise Refusal(problem, "type")

    def _payer(self, draft: Draft) -> bytes | None:
        payer = draft.fields.get("payer")
        if payer is None:
            return None
        return self.master.blind(self.configuration.territory.id, "payer", payer["fonorg"], payer["numorg"])

    def _clear(self, draft: Draft, fields: Mapping[str, Any], journey: UUID | None) -> dict[str, Any]:
        """The common block around the record's own fields (events.md, *Common block*)."""
        return {
            **fields,
            "territory": self.configuration.territory.id,
            "journey": journey,
            "source": {
                "system": self.connector.name,
                "file": self.file,
                "position": draft.position.line or draft.position.ordinal,
                "rule": draft.rule,
            },
            "observed_at": draft.observed_at,
            "corrects": self._corrects(draft),
        }

    def _corrects(self, draft: Draft) -> dict[str, Any] | None:
        """The earlier event by its id; a connector names it by the earlier draft's key."""
        if draft.corrects is None:
            return None
        earlier = draft.corrects.get("event")
        if earlier is None:
            territory = self.configuration.territory.id
            earlier = event_id(self.source, self.master.source_id(territory, *draft.corrects["key"]))
        return {"event": earlier, "kind": draft.corrects["kind"]}

    def _echo(self, record: str, person: UUID, matter: str | None, fields: Mapping[str, Any]) -> None:
        """A fact that equals what the hub last told this partner of that matter is no event."""
        outbound = self.connector.manifest.outbound
        declared = outbound.records.get(record) if outbound else None
        if matter is None or declared is None or not declared.echo or (person, matter) not in self.told:
            return
        if echo_hash(self.master, self.partner, fields, declared.echo) == self.told[person, matter]:
            raise Refusal("said_by_the_hub", kind="echo")

    def _seal(
        self,
        record: str,
        identifier: UUID,
        person: UUID,
        clear: Mapping[str, Any],
        block: Mapping[str, Any],
        sensitive: Mapping[str, Any] | None,
    ) -> bytes:
        keys = self.people.keys
        opened = {"person": block} | ({"sensitive": sensitive} if sensitive is not None else {})
        sealed = {
            name: keys.seal(
                person, self.codec.encode_block(record, name, dict(value)), f"{identifier}:{name}"
            )
            for name, value in opened.items()
        }
        framed = self.codec.encode(record, dict(clear), sealed["person"], sealed.get("sensitive"))
        if len(framed) > MAX_BODY:
            raise Refusal(
                "too_large", detail=f"{len(framed)} bytes; at most {MAX_BODY} fit a record of the log"
            )
        return framed

    def _linked(self, person: Person, kind: str, rule: str, cause: UUID) -> Row:
        """The hub's own event: an identifier was added to a known person."""
        return linked_row(
            self.configuration, self.registry, self.codec, self.people, person, kind, rule, cause, self.partner,
            self.numbers.pop(), self.standings.get(person.id), self.now, self.today,
        )  # fmt: skip

    def _made(
        self,
        no: int,
        identifier: UUID,
        source_event_id: str,
        canonical: bytes,
        schema: RecordSchema,
        person: UUID,
        clear: Mapping[str, Any],
        body: bytes,
        facts: Facts,
        occurred_at: datetime,
    ) -> Row:
        return Row(
            no, identifier, self.source, source_event_id, canonical, schema.record, schema.version, self.partner,
            self.flow, person, clear["journey"], None, body, hashlib.sha256(body).digest(), facts.to_json(),
            facts.matter, occurred_at,
        )  # fmt: skip


def _not_taken(error: Exception) -> NotTaken:
    match error:
        case Refusal():
            return error.result
        case Invalid():
            return NotTaken("refused", "invalid", error.field, error.rule)
        case _:
            return NotTaken("dropped", "other_payer")


def linked_row(
    configuration: Configuration,
    registry: FileRegistry,
    codec: Codec,
    people: People,
    person: Person,
    kind: str,
    rule: str,
    cause: UUID,
    learned_from: str,
    no: int,
    state: Standing | None,
    now: datetime,
    today: date,
) -> Row:
    """IdentityLinked: internal, no partner's view. Its source id is (cause, kind): learned twice it is one event."""
    territory = configuration.territory.id
    source, source_event_id = event_source(territory, HUB, "identity"), f"{cause}:{kind}"
    identifier, schema = event_id(source, source_event_id), registry.get("IdentityLinked")
    journey = state.open_journey() if state else None
    block = codec.encode_block("IdentityLinked", "person", person_block(person.profile))
    clear = {
        "territory": territory,
        "journey": journey.id if journey else None,
        "source": {"system": learned_from, "file": None, "position": None, "rule": rule},
        "observed_at": now,
        "corrects": None,
        "identifier_kind": kind,
        "rule": rule,
        "decided_by": None,
    }
    body = codec.encode("IdentityLinked", clear, people.keys.seal(person.id, block, f"{identifier}:person"))
    facts = Facts(
        territory=territory, record="IdentityLinked", emitter=HUB, emitter_organisation=HUB, accepted_on=today
    )
    return Row(
        no, identifier, source, source_event_id, b"", "IdentityLinked", schema.version, HUB, "identity", person.id,
        clear["journey"], cause, body, hashlib.sha256(body).digest(), facts.to_json(), None, now,
    )  # fmt: skip
