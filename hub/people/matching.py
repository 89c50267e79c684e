"""Who is one person: the ordered rules of events.md ("Who is one person") as pure decisions over keyed hashes.

A territory's identity index says who holds which key. The shell, per batch: `normalise` each subject, read the rows of
`lookups` and the `Known` facts of their persons into one `Index`, then `resolve` the items in order: each decision is
folded into the index, so items of one batch find each other. Nothing here reads or writes anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID

from hub.people.identity import EXCLUSIVE, Identity, Key, identifier_key, keys_of

RuleName = Literal["own", "reference", "nir_birth", "id_birth", "matricule_birth", "name"]
ReviewReason = Literal[
    "birth_date_differs",  # the source's own key or a reference, with another birth date: same person, to be looked at
    "nir_differs",  # the same, with another NIR
    "nir_other_birth_date",
    "id_other_birth_date",
    "id_other_nir",
    "matricule_other_nir",
    "birth_day_unknown",
    "same_name_and_contact",
    "also_matches",  # a weaker key leads to somebody else: perhaps a duplicate to merge
]


class Hashed(NamedTuple):
    """A row of the table identity."""

    rule: str
    hash: bytes


# ------------------------------------------------------------------------------------------------ what is known


@dataclass(frozen=True, slots=True)
class Known:
    """What a decision must know of a person already in the index: the profile's birth date, identifier hashes by kind."""

    birth_date: str | None
    birth_day_known: bool
    held: Mapping[str, frozenset[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """What the shell found for a quoted reference: its person, and whether the sender was the recipient of it."""

    person: UUID
    given_to_sender: bool


class Index:
    """The part of a territory's identity index that a batch needs, by keyed hash. `blind(rule, *parts)` is the master
    key's. Persons are roots of merged ones; `known` must hold every holder and every reference's person."""

    def __init__(self, blind: Callable[..., bytes]) -> None:
        self.blind = blind
        self.holders: dict[Hashed, UUID] = {}
        self.known: dict[UUID, Known] = {}
        self._hashes: dict[Key, Hashed] = {}

    def hashed(self, key: Key) -> Hashed:
        """The index row of a key; computed once per index."""
        found = self._hashes.get(key)
        if found is None:
            found = self._hashes[key] = Hashed(key.rule, self.blind(key.rule, *key.parts))
        return found

    def add(self, rows: Iterable[tuple[str, bytes, UUID]], known: Mapping[UUID, Known]) -> None:
        """What the database holds: identity rows and the facts of their persons."""
        self.holders |= {Hashed(rule, hash): person for rule, hash, person in rows}
        self.known |= known


# ------------------------------------------------------------------------------------------------ decisions


@dataclass(frozen=True, slots=True)
class Review:
    """A line for the reviewer. `identifiers` are contradicted ones by kind: they are kept here (sealed), not indexed.

    The same line comes again with each file: write it once per (person, against, reason), also when it was decided."""

    reason: ReviewReason
    against: UUID | None
    rule: str
    identifiers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Same:
    """The item is about this known person."""

    person: UUID
    rule: RuleName
    reviews: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class New:
    """Nobody is known who could be this person."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Perhaps `against`, perhaps not: the item gets a new person of its own, and the reviewer decides."""

    against: UUID
    reason: ReviewReason
    rule: RuleName
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The item is not taken: unknown_reference, reference_of_another, identity_incomplete."""

    reason: str


Decision = Same | New | Doubtful | Refused


def decide(identity: Identity, index: Index, reference: Reference | None = None) -> Decision:
    """Who this is, by the first rule that finds somebody. Pure: reads the index, changes nothing.

    `reference` is what the shell found for `identity.reference` (None = nothing). The source's own key and a reference
    stand even against another birth date or NIR, with a review line; NIR with birth date stands against other ids; the
    weaker rules give way to a contradiction."""
    if identity.reference is not None:
        if reference is None:
            return Refused("unknown_reference")
        if not reference.given_to_sender:
            return Refused("reference_of_another")
    hits = _hits(identity, index)
    if "own" in hits:
        return Same(hits["own"], "own", _trusted(identity, index, hits["own"], hits, reference))
    if reference is not None:
        return Same(reference.person, "reference", _trusted(identity, index, reference.person, hits, None))
    if "nir_birth" in hits:
        return Same(hits["nir_birth"], "nir_birth", _elsewhere(identity, hits["nir_birth"], hits))
    doubt = _contradiction(identity, index, hits)
    if doubt is None:
        for rule, name in _SURE:
            if rule in hits:
                return Same(hits[rule], name, _elsewhere(identity, hits[rule], hits))
        doubt = next(
            (
                _doubtful(identity, hits, hits[rule], "same_name_and_contact", "name", rule)
                for rule in ("name_phone", "name_email", "name_commune")
                if rule in hits
            ),
            None,
        )
    if not identity.complete:
        return Refused("identity_incomplete")
    return doubt or New()


_SURE: tuple[tuple[str, RuleName], ...] = (
    ("france_travail_id_birth", "id_birth"),
    ("milo_id_birth", "id_birth"),
    ("webrsa_id_birth", "id_birth"),
    ("matricule_birth", "matricule_birth"),
)

Hits = dict[str, UUID]


def _hits(identity: Identity, index: Index) -> Hits:
    """Who holds which of the keys, by rule. Of several phones the first that hits counts."""
    found: Hits = {}
    for key in keys_of(identity):
        holder = index.holders.get(index.hashed(key))
        if holder is not None:
            found.setdefault(key.rule, holder)
    return found


def _contradiction(identity: Identity, index: Index, hits: Hits) -> Doubtful | None:
    """Same NIR or id with another birth date, same id or household with another NIR, or a birth day that is not known."""
    if "nir" in hits:
        person = hits["nir"]
        return _doubtful(
            identity, hits, person, _date_doubt(identity, index, person, "nir"), "nir_birth", "nir"
        )
    for kind in EXCLUSIVE[1:]:
        if kind not in hits:
            continue
        person = hits[kind]
        if f"{kind}_birth" not in hits:
            return _doubtful(
                identity, hits, person, _date_doubt(identity, index, person, "id"), "id_birth", kind
            )
        if _other_nir(identity, index, person):
            return _doubtful(identity, hits, person, "id_other_nir", "id_birth", kind)
    if "matricule_birth" in hits:
        person = hits["matricule_birth"]
        if _other_nir(identity, index, person):
            return _doubtful(
                identity, hits, person, "matricule_other_nir", "matricule_birth", "matricule_birth"
            )
    elif "matricule_month" in hits:
        person = hits["matricule_month"]
        if not (identity.birth_day_known and index.known[person].birth_day_known):
            return _doubtful(
                identity, hits, person, "birth_day_unknown", "matricule_birth", "matricule_month"
            )
    return None


def _date_doubt(identity: Identity, index: Index, person: UUID, kind: Literal["nir", "id"]) -> ReviewReason:
    if not (identity.birth_day_known and index.known[person].birth_day_known):
        return "birth_day_unknown"
    return "nir_other_birth_date" if kind == "nir" else "id_other_birth_date"


def _other_nir(identity: Identity, index: Index, person: UUID) -> bool:
    """True when both have a NIR and it is not the same."""
    nir, held = identity.identifiers.get("nir"), index.known[person].held.get("nir", frozenset())
    return nir is not None and bool(held) and index.hashed(Key("nir", (nir,))).hash not in held


def _same_birth(identity: Identity, known: Known) -> bool:
    """True when both know the day and it is the same."""
    return identity.birth_date == known.birth_date and identity.birth_day_known and known.birth_day_known


def _trusted(
    identity: Identity, index: Index, person: UUID, hits: Hits, reference: Reference | None
) -> tuple[Review, ...]:
    """Review lines of a match that stands whatever else the item says."""
    reviews = list(_elsewhere(identity, person, hits))
    if identity.birth_date not in (None, index.known[person].birth_date):
        reviews.append(Review("birth_date_differs", None, "own"))
    if _other_nir(identity, index, person):
        reviews.append(Review("nir_differs", None, "own", {"nir": identity.identifiers["nir"]}))
    if reference is not None and reference.person != person:
        reviews.append(Review("also_matches", reference.person, "reference"))
    return tuple(reviews)


def _elsewhere(identity: Identity, person: UUID, hits: Hits) -> tuple[Review, ...]:
    """One line per other person that a sure key or an exclusive identifier leads to, with the identifiers held there."""
    others: dict[UUID, tuple[str, dict[str, str]]] = {}
    for rule, holder in hits.items():
        if holder != person and not rule.startswith("name_") and rule != "matricule_month":
            _, taken = others.setdefault(holder, (rule, {}))
            if rule in EXCLUSIVE:
                taken[rule] = identity.identifiers[rule]
    return tuple(Review("also_matches", other, rule, taken) for other, (rule, taken) in others.items())


def _doubtful(
    identity: Identity, hits: Hits, against: UUID, reason: ReviewReason, rule: RuleName, key: str
) -> Doubtful:
    taken = {kind: identity.identifiers[kind] for kind in EXCLUSIVE if kind in hits}
    line = Review(reason, against, key, taken)
    return Doubtful(against, reason, rule, (line, *_elsewhere(identity, against, hits)))


# ------------------------------------------------------------------------------------------------ what the person gains


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value for the table identifier; `hash` is that of the index rule of the same name."""

    kind: str
    value: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Gains:
    """What to write for the person. `added` are kinds of identifiers new to a known person: one IdentityLinked each;
    always empty for a new person."""

    rows: tuple[Hashed, ...]
    identifiers: tuple[Identifier, ...]
    added: tuple[str, ...]


def gains(identity: Identity, decision: Decision, index: Index) -> Gains:
    """Index rows and identifiers that the decision's person gets.

    A key that somebody else holds is not taken (unique in SQL); contradicted identifiers stay in the review entry; no key
    with a birth date that is not the known person's is indexed."""
    if isinstance(decision, Refused):
        return Gains((), (), ())
    known = index.known[decision.person] if isinstance(decision, Same) else None
    reviews = () if isinstance(decision, New) else decision.reviews
    withheld = {kind for review in reviews for kind in review.identifiers}
    undated = known is not None and not _same_birth(identity, known)
    rows = []
    for key in keys_of(identity):
        if key.rule.removesuffix("_birth").removesuffix("_month") in withheld:
            continue
        if undated and key.rule != "own" and key.rule not in EXCLUSIVE:
            continue
        hashed = index.hashed(key)
        if hashed not in index.holders:
            rows.append(hashed)
    identifiers = []
    for kind, value in identity.identifiers.items():
        hash = index.hashed(identifier_key(identity, kind)).hash
        if kind not in withheld and (known is None or hash not in known.held.get(kind, frozenset())):
            identifiers.append(Identifier(kind, value, hash))
    return Gains(tuple(rows), tuple(identifiers), tuple(i.kind for i in identifiers) if known else ())


@dataclass(frozen=True, slots=True)
class Resolved:
    """One item of a batch, decided and folded into the index. `person` is None when it was refused; `before` is what was
    known of the person."""

    person: UUID | None
    created: bool
    decision: Decision
    gains: Gains
    before: Known | None = None


def resolve(
    identity: Identity, index: Index, new_id: Callable[[], UUID], reference: Reference | None = None
) -> Resolved:
    """Decide one item and fold the result into the index, so that the next item of the batch finds this person."""
    decision = decide(identity, index, reference)
    gained = gains(identity, decision, index)
    if isinstance(decision, Refused):
        return Resolved(None, False, decision, gained)
    created = not isinstance(decision, Same)
    person = decision.person if isinstance(decision, Same) else new_id()
    before = index.known.get(person)
    if created:
        index.known[person] = Known(identity.birth_date, identity.birth_day_known)
    _fold(index, person, gained)
    return Resolved(person, created, decision, gained, before)


def unresolve(resolved: Resolved, index: Index) -> None:
    """Take the last decision back: its item was refused after all, and later items must not find its person by it."""
    if resolved.person is None:
        return
    for row in resolved.gains.rows:
        del index.holders[row]
    if resolved.before is None:
        del index.known[resolved.person]
    else:
        index.known[resolved.person] = resolved.before


def learned(person: UUID, kind: str, value: str, index: Index) -> Gains | Review:
    """What a partner's answer adds to a known person (``Outcome.learned``); one that belongs to somebody else is a review
    line and is not added. Folded into the index. `kind` may be a connector's own; then it is kept and not matched by."""
    known = index.known[person]
    single = index.hashed(Key(kind, (value,)))
    holder = index.holders.get(single)
    if holder is not None and holder != person:
        return Review("also_matches", holder, kind, {kind: value})
    if single.hash in known.held.get(kind, frozenset()):
        return Gains((), (), ())
    rows = []
    if kind in EXCLUSIVE:
        rows.append(single)
        if known.birth_date and known.birth_day_known:
            rows.append(index.hashed(Key(f"{kind}_birth", (value, known.birth_date))))
    fresh = tuple(row for row in rows if row not in index.holders)
    gained = Gains(fresh, (Identifier(kind, value, single.hash),), (kind,))
    _fold(index, person, gained)
    return gained


def _fold(index: Index, person: UUID, gained: Gains) -> None:
    before = index.known[person]
    held = dict(before.held)
    for identifier in gained.identifiers:
        held[identifier.kind] = held.get(identifier.kind, frozenset()) | {identifier.hash}
    index.known[person] = Known(before.birth_date, before.birth_day_known, held)
    index.holders |= dict.fromkeys(gained.rows, person)


def lookups(identities: Sequence[Identity], index: Index) -> list[Hashed]:
    """The rows of table identity to read for a batch, each once."""
    return list(dict.fromkeys(index.hashed(key) for identity in identities for key in keys_of(identity)))
