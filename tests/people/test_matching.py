"""Who is one person, told as sentences. NIRs are invented (birthplace 99 999 or commune 990)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.people.identity import Identity, keys_of, normalise
from hub.people.keys import MasterKey
from hub.people.matching import (
    Doubtful,
    Gains,
    Index,
    New,
    Reference,
    Refused,
    Resolved,
    Review,
    Same,
    decide,
    learned,
    lookups,
    resolve,
    unresolve,
)
from hub.sdk.inbound import Address, Subject

MASTER = MasterKey(b"m" * 32)
MAIN = ("CAF", "761")
NIR_F, NIR_M = "2850799990001", "1850799990001"
OTHER_NIR = "2850799990002"

ANNA = Subject(
    birth_name="GARÇON",
    first_names=("Maëlle",),
    birth_date="1985-07-14",
    sex="F",
    phones=("06 00 00 00 01",),
    email="Maelle@exemple.invalid",
    address=Address(("1 rue des Essais",), "76000", "76540", "Rouen"),
    nir=NIR_F,
    matricule=("CAF", "761", "0345146"),
    own_key=("CAF", "761", "0345146", NIR_F),
)
BARE = replace(ANNA, nir=None, matricule=None, own_key=None, phones=(), email=None, address=None)
"""The same name and birth date and nothing else."""


class Registry:
    """An identity index that lives through several items of one batch."""

    def __init__(self) -> None:
        self.index = Index(partial(MASTER.blind, "76"))
        self._ids = (UUID(int=number) for number in itertools.count(1))

    def take(self, subject: Subject, reference: Reference | None = None, source: str = "p7604") -> Resolved:
        return resolve(self.identity(subject, source), self.index, lambda: next(self._ids), reference)

    def identity(self, subject: Subject, source: str = "p7604") -> Identity:
        return normalise(subject, MAIN, source)

    def person(self, subject: Subject) -> UUID:
        resolved = self.take(subject)
        assert resolved.created
        assert resolved.person is not None
        return resolved.person


@pytest.fixture
def registry() -> Registry:
    return Registry()


def same(resolved: Resolved, person: UUID, rule: str) -> bool:
    decision = resolved.decision
    return isinstance(decision, Same) and (decision.person, decision.rule) == (person, rule)


def doubt(resolved: Resolved, against: UUID, reason: str) -> bool:
    decision = resolved.decision
    return (
        isinstance(decision, Doubtful)
        and (decision.against, decision.reason) == (against, reason)
        and resolved.created
        and resolved.person not in (None, against)
    )


def reasons(resolved: Resolved) -> list[str]:
    decision = resolved.decision
    return [r.reason for r in decision.reviews] if isinstance(decision, (Same, Doubtful)) else []


# ------------------------------------------------------------------------------------------------ the source's own key


def test_the_sources_own_key_gives_the_person_that_it_gave_last_time(registry: Registry) -> None:
    anna = registry.person(ANNA)
    again = registry.take(
        replace(BARE, own_key=ANNA.own_key, first_names=("Autre",), birth_name="Nom changé")
    )
    assert same(again, anna, "own")


def test_another_birth_date_under_the_own_key_is_the_same_person_and_a_review_line(
    registry: Registry,
) -> None:
    anna = registry.person(ANNA)
    again = registry.take(replace(ANNA, birth_date="1985-07-15"))
    assert same(again, anna, "own")
    assert reasons(again) == ["birth_date_differs"]
    assert again.gains == Gains((), (), ())


def test_an_own_key_is_the_sources_own(registry: Registry) -> None:
    registry.person(replace(BARE, own_key=("42",)))
    other = registry.take(replace(BARE, own_key=("42",), first_names=("Zoé",)), source="p7601")
    assert isinstance(other.decision, New)


def test_a_doubtful_person_is_found_again_by_its_own_key_next_month(registry: Registry) -> None:
    anna = registry.person(ANNA)
    twin = replace(ANNA, birth_date="1986-07-14", own_key=("CAF", "761", "0345146", "other"))
    first = registry.take(twin)
    assert doubt(first, anna, "nir_other_birth_date")
    assert first.person is not None
    assert same(registry.take(twin), first.person, "own")


def test_another_nir_under_the_own_key_stays_in_the_review_line(registry: Registry) -> None:
    anna = registry.person(ANNA)
    again = registry.take(replace(ANNA, nir=OTHER_NIR))
    assert same(again, anna, "own")
    assert [r for r in again.decision.reviews if r.reason == "nir_differs"] == [
        Review("nir_differs", None, "own", {"nir": OTHER_NIR})
    ]
    assert again.gains.identifiers == ()


# ------------------------------------------------------------------------------------------------ 0: references


def test_a_reference_that_the_sender_received_is_its_person(registry: Registry) -> None:
    anna = registry.person(ANNA)
    said = Subject(reference="p1:ABC")
    assert same(registry.take(said, Reference(anna, True)), anna, "reference")


def test_a_reference_that_somebody_else_received_is_refused(registry: Registry) -> None:
    anna = registry.person(ANNA)
    taken = registry.take(replace(ANNA, reference="p1:ABC"), Reference(anna, False))
    assert (taken.decision, taken.person) == (Refused("reference_of_another"), None)


def test_an_unknown_reference_is_refused_whatever_else_the_item_says(registry: Registry) -> None:
    registry.person(ANNA)
    assert registry.take(replace(ANNA, reference="p1:ABC")).decision == Refused("unknown_reference")


def test_a_reference_stands_against_another_birth_date_with_a_review_line(registry: Registry) -> None:
    anna = registry.person(ANNA)
    taken = registry.take(replace(BARE, birth_date="1970-01-01", reference="p1:ABC"), Reference(anna, True))
    assert same(taken, anna, "reference")
    assert reasons(taken) == ["birth_date_differs"]


# ------------------------------------------------------------------------------------------------ 1: NIR and birth date


def test_the_same_nir_and_birth_date_is_the_same_person_under_any_name(registry: Registry) -> None:
    anna = registry.person(ANNA)
    taken = registry.take(
        replace(BARE, birth_name="Autrement", first_names=("Tout",), nir=NIR_F), source="p7601"
    )
    assert same(taken, anna, "nir_birth")


def test_a_nir_counts_by_its_13_characters(registry: Registry) -> None:
    key = 97 - int(NIR_F) % 97
    anna = registry.person(ANNA)
    assert same(registry.take(replace(BARE, nir=f"{NIR_F}{key:02d}")), anna, "nir_birth")


def test_a_nir_that_does_not_hold_is_left_out_and_named(registry: Registry) -> None:
    identity = registry.identity(replace(ANNA, nir="2851399990001"))
    assert "nir" not in identity.identifiers
    assert identity.problems == (("nir", "shape"),)


def test_the_same_nir_with_another_birth_date_is_doubtful_and_does_not_get_the_nir(
    registry: Registry,
) -> None:
    anna = registry.person(ANNA)
    taken = registry.take(replace(ANNA, birth_date="1985-07-15", own_key=None))
    assert doubt(taken, anna, "nir_other_birth_date")
    assert taken.decision.reviews[0].identifiers == {"nir": NIR_F}
    assert [i.kind for i in taken.gains.identifiers] == ["matricule"]
    assert not {"nir", "nir_birth"} & {row.rule for row in taken.gains.rows}


def test_nir_and_birth_date_stand_against_an_id_of_somebody_else_which_is_not_taken(
    registry: Registry,
) -> None:
    anna = registry.person(ANNA)
    berthe = registry.person(
        replace(BARE, first_names=("Berthe",), france_travail_id="12345678901", nir=OTHER_NIR)
    )
    taken = registry.take(replace(ANNA, own_key=None, france_travail_id="12345678901"))
    assert same(taken, anna, "nir_birth")
    assert [(r.reason, r.against) for r in taken.decision.reviews] == [("also_matches", berthe)]
    assert "france_travail_id" not in taken.gains.added


# ------------------------------------------------------------------------------------------------ 2: partner ids


@pytest.mark.parametrize(
    ("kind", "value"), [("france_travail_id", "12345678901"), ("milo_id", "778"), ("webrsa_id", "90001")]
)
def test_the_same_partner_id_and_birth_date_is_the_same_person(
    registry: Registry, kind: str, value: str
) -> None:
    anna = registry.person(replace(BARE, **{kind: value}))
    other_name = replace(BARE, birth_name="Autrement", **{kind: value})
    assert same(registry.take(other_name), anna, "id_birth")


def test_the_same_partner_id_with_another_birth_date_is_doubtful(registry: Registry) -> None:
    anna = registry.person(replace(BARE, milo_id="778"))
    taken = registry.take(replace(BARE, milo_id="778", birth_date="1999-01-02"))
    assert doubt(taken, anna, "id_other_birth_date")


def test_the_same_partner_id_with_another_nir_is_doubtful(registry: Registry) -> None:
    anna = registry.person(replace(ANNA, webrsa_id="90001"))
    taken = registry.take(replace(BARE, webrsa_id="90001", nir=OTHER_NIR))
    assert doubt(taken, anna, "id_other_nir")
    assert [i.kind for i in taken.gains.identifiers] == ["nir"]


def test_ids_of_two_kinds_with_the_same_digits_are_not_the_same_id(registry: Registry) -> None:
    registry.person(replace(BARE, milo_id="778"))
    assert isinstance(registry.take(replace(BARE, webrsa_id="778")).decision, New)


@pytest.mark.parametrize("value", ["1234567A", "1234567A001", "123456789012", "１２３４５６７８９０１"])
def test_only_the_national_number_of_france_travail_identifies(registry: Registry, value: str) -> None:
    identity = registry.identity(replace(BARE, france_travail_id=value))
    assert "france_travail_id" not in identity.identifiers
    assert identity.problems == (("france_travail_id", "shape"),)


# ------------------------------------------------------------------------------------------------ 3: payer, matricule …

NO_NIR = replace(ANNA, nir=None, own_key=None, phones=(), email=None, address=None)


def test_spouses_share_a_caf_number_and_are_two_persons(registry: Registry) -> None:
    anna = registry.person(NO_NIR)
    spouse = replace(NO_NIR, first_names=("Yanis",), birth_date="1983-02-03", sex="M")
    taken = registry.take(spouse)
    assert isinstance(taken.decision, New)
    assert taken.person != anna
    assert "matricule" in {i.kind for i in taken.gains.identifiers}


def test_the_same_household_birth_date_and_first_name_is_the_same_person(registry: Registry) -> None:
    anna = registry.person(NO_NIR)
    assert same(registry.take(replace(NO_NIR, birth_name="Nom d'usage")), anna, "matricule_birth")


def test_a_namesake_under_another_payer_is_not_merged(registry: Registry) -> None:
    registry.person(NO_NIR)
    assert isinstance(registry.take(replace(NO_NIR, matricule=("CAF", "762", "0345146"))).decision, New)


def test_a_number_without_payer_belongs_to_the_main_payer(registry: Registry) -> None:
    anna = registry.person(NO_NIR)
    assert same(registry.take(replace(NO_NIR, matricule=("", "", "0345146"))), anna, "matricule_birth")


@pytest.mark.parametrize("written", ["0345146", "345146", "034514600000000", "34514600000000"])
def test_a_caf_number_is_the_same_however_its_zeros_were_lost(registry: Registry, written: str) -> None:
    anna = registry.person(NO_NIR)
    assert same(registry.take(replace(NO_NIR, matricule=("CAF", "761", written))), anna, "matricule_birth")


def test_an_msa_matricule_is_the_nir_and_no_allocation_number(registry: Registry) -> None:
    anna = registry.person(replace(NO_NIR, nir=NIR_F))
    taken = registry.take(replace(BARE, matricule=("MSA", "760", NIR_F)))
    assert same(taken, anna, "nir_birth")
    assert "matricule" not in registry.identity(replace(BARE, matricule=("MSA", "760", NIR_F))).identifiers


def test_an_msa_matricule_without_payer_is_recognised_as_a_nir(registry: Registry) -> None:
    identity = registry.identity(replace(BARE, matricule=("", "", NIR_F)))
    assert identity.identifiers == {"nir": NIR_F}
    assert identity.matricule is None


@pytest.mark.parametrize(
    "changed", [{"birth_date": "1983-02-03"}, {"sex": "M"}, {"birth_date": "1985-08-14"}]
)
def test_a_spouse_does_not_get_the_nir_in_the_households_msa_matricule(
    registry: Registry, changed: Mapping[str, str]
) -> None:
    spouse = replace(BARE, first_names=("Yanis",), matricule=("MSA", "760", NIR_F), **changed)
    assert registry.identity(spouse).identifiers == {}


def test_the_same_household_and_first_name_with_another_nir_is_doubtful(registry: Registry) -> None:
    anna = registry.person(replace(NO_NIR, nir=NIR_F))
    assert doubt(registry.take(replace(NO_NIR, nir=OTHER_NIR)), anna, "matricule_other_nir")


def test_a_nir_that_came_later_is_added_to_the_person(registry: Registry) -> None:
    anna = registry.person(NO_NIR)
    taken = registry.take(replace(NO_NIR, nir=NIR_F))
    assert same(taken, anna, "matricule_birth")
    assert taken.gains.added == ("nir",)
    assert same(registry.take(replace(BARE, nir=NIR_F, first_names=("X",))), anna, "nir_birth")


# ------------------------------------------------------------------------------------------------ 4: name and contact


@pytest.mark.parametrize(
    "contact",
    [
        {"phones": ("+33 6 00 00 00 01",)},
        {"phones": ("0611111111", "600000001")},
        {"email": " MAELLE@exemple.invalid "},
        {"address": Address((), "76100", None, "ROUEN CEDEX 2")},
    ],
)
def test_the_same_name_and_birth_date_with_a_contact_in_common_is_doubtful(
    registry: Registry, contact: Mapping[str, object]
) -> None:
    anna = registry.person(replace(ANNA, own_key=None))
    taken = registry.take(replace(BARE, birth_name="Garcon", first_names=("MAELLE",), **contact))
    assert doubt(taken, anna, "same_name_and_contact")


@pytest.mark.parametrize(
    "subject",
    [
        BARE,
        replace(BARE, numdemrsa="7600000001"),
        replace(BARE, phones=("0699999999",)),
        replace(ANNA, nir=None, own_key=None, first_names=("Autre",), birth_date="1990-01-01"),
        replace(ANNA, nir=None, own_key=None, matricule=None, birth_date="1985-07-15"),
        replace(ANNA, nir=None, own_key=None, matricule=None, first_names=("Marie",)),
    ],
)
def test_name_alone_number_alone_or_numdemrsa_alone_never_match(registry: Registry, subject: Subject) -> None:
    registry.person(replace(ANNA, numdemrsa="7600000001"))
    assert isinstance(registry.take(subject).decision, New)


# ------------------------------------------------------------------------------------------------ 5: unknown birth day


def test_the_same_nir_with_an_unknown_birth_day_is_at_most_doubtful(registry: Registry) -> None:
    anna = registry.person(replace(ANNA, own_key=None))
    taken = registry.take(replace(ANNA, own_key=None, birth_date="1985-07-01", birth_day_known=False))
    assert doubt(taken, anna, "birth_day_unknown")


def test_a_known_birth_day_does_not_match_a_person_whose_day_is_unknown(registry: Registry) -> None:
    anna = registry.person(replace(ANNA, own_key=None, birth_date="1985-07-14", birth_day_known=False))
    assert doubt(registry.take(replace(ANNA, own_key=None)), anna, "birth_day_unknown")


@pytest.mark.parametrize("known_first", [True, False])
def test_the_same_household_and_first_name_with_an_unknown_day_is_doubtful(
    registry: Registry, known_first: bool
) -> None:
    sides = [NO_NIR, replace(NO_NIR, birth_date="1985-07-01", birth_day_known=False)]
    first, second = sides if known_first else sides[::-1]
    anna = registry.person(first)
    assert doubt(registry.take(second), anna, "birth_day_unknown")


def test_a_namesake_of_the_household_born_another_day_is_somebody_else(registry: Registry) -> None:
    registry.person(NO_NIR)
    assert isinstance(registry.take(replace(NO_NIR, birth_date="1985-07-28")).decision, New)


# ------------------------------------------------------------------------------------------------ the rest


@pytest.mark.parametrize(
    "subject",
    [
        replace(ANNA, birth_date=None),
        replace(ANNA, first_names=()),
        replace(ANNA, birth_name=None, name=" - "),
        replace(ANNA, birth_date="1985-13-01"),
    ],
)
def test_nobody_is_made_without_name_first_name_and_birth_date(registry: Registry, subject: Subject) -> None:
    taken = registry.take(subject)
    assert taken.decision == Refused("identity_incomplete")
    assert not registry.index.holders


def test_items_of_one_batch_find_each_other(registry: Registry) -> None:
    first = registry.take(ANNA)
    second = registry.take(replace(BARE, nir=NIR_F), source="p7601")
    third = registry.take(replace(BARE, nir=NIR_F, birth_date="1985-07-15"), source="p7601")
    assert first.created
    assert first.person is not None
    assert same(second, first.person, "nir_birth")
    assert doubt(third, first.person, "nir_other_birth_date")


def test_a_matched_person_gains_the_sources_own_key_and_no_identifier_twice(registry: Registry) -> None:
    anna = registry.person(ANNA)
    taken = registry.take(replace(ANNA, own_key=("other", "key")), source="p7601")
    assert same(taken, anna, "nir_birth")
    assert [row.rule for row in taken.gains.rows] == ["own"]
    assert taken.gains.added == ()


def test_a_new_person_is_not_linked_to_anything(registry: Registry) -> None:
    taken = registry.take(ANNA)
    assert taken.gains.added == ()
    assert {i.kind for i in taken.gains.identifiers} == {"nir", "matricule"}


def test_a_learned_identifier_is_added_once(registry: Registry) -> None:
    anna = registry.person(ANNA)
    first = learned(anna, "france_travail_id", "12345678901", registry.index)
    assert isinstance(first, Gains)
    assert first.added == ("france_travail_id",)
    assert learned(anna, "france_travail_id", "12345678901", registry.index) == Gains((), (), ())
    found = registry.take(replace(BARE, first_names=("X",), france_travail_id="12345678901"))
    assert same(found, anna, "id_birth")


def test_a_learned_identifier_of_somebody_else_is_a_review_line(registry: Registry) -> None:
    anna = registry.person(replace(ANNA, france_travail_id="12345678901"))
    berthe = registry.person(replace(BARE, first_names=("Berthe",)))
    line = learned(berthe, "france_travail_id", "12345678901", registry.index)
    assert line == Review("also_matches", anna, "france_travail_id", {"france_travail_id": "12345678901"})


def test_no_key_or_hash_crosses_a_territory() -> None:
    identity = normalise(ANNA, MAIN, "p7604")
    rows = [
        {index.hashed(key) for key in keys_of(identity)}
        for index in (Index(partial(MASTER.blind, territory)) for territory in ("76", "79"))
    ]
    assert rows[0].isdisjoint(rows[1])


def test_lookups_of_a_batch_name_every_key_once(registry: Registry) -> None:
    identities = [registry.identity(ANNA), registry.identity(ANNA), registry.identity(BARE)]
    rows = lookups(identities, registry.index)
    assert len(rows) == len(set(rows)) == len(keys_of(identities[0]))


# ------------------------------------------------------------------------------------------------ properties

subjects = st.builds(
    Subject,
    birth_name=st.sampled_from(["GARÇON", "Œuvré", "Essai"]),
    first_names=st.sampled_from([("Maëlle",), ("Yanis",)]),
    birth_date=st.sampled_from(["1985-07-14", "1985-07-15", "1990-01-01"]),
    birth_day_known=st.booleans(),
    sex=st.sampled_from(["F", "M", None]),
    phones=st.sampled_from([(), ("0600000001",)]),
    nir=st.sampled_from([None, NIR_F, NIR_M, OTHER_NIR]),
    matricule=st.sampled_from([None, ("CAF", "761", "0345146"), ("", "", "345146"), ("MSA", "760", NIR_F)]),
    france_travail_id=st.sampled_from([None, "12345678901", "12345678902"]),
    own_key=st.sampled_from([None, None, ("1",), ("2",)]),
)


@given(st.lists(subjects, min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_no_key_ever_has_two_holders_and_no_nir_two_birth_dates(batch: list[Subject]) -> None:
    registry = Registry()
    for subject in batch:
        before = dict(registry.index.holders)
        taken = registry.take(subject)
        assert before.items() <= registry.index.holders.items()
        if isinstance(taken.decision, Same) and taken.decision.rule not in ("own", "reference"):
            known = registry.index.known[taken.decision.person]
            assert known.birth_date == subject.birth_date
            assert known.birth_day_known
            assert subject.birth_day_known
        assert len(registry.index.known[taken.person].held.get("nir", ())) <= 1


@given(st.lists(subjects, min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_same_items_again_find_the_same_persons_and_make_none(batch: list[Subject]) -> None:
    registry = Registry()
    keyed = [replace(subject, own_key=(str(number),)) for number, subject in enumerate(batch)]
    first = [registry.take(subject).person for subject in keyed]
    again = [registry.take(subject) for subject in keyed]
    assert [taken.person for taken in again] == first
    assert not any(taken.created or taken.gains.added for taken in again)


@given(st.lists(subjects, max_size=6), subjects)
@settings(max_examples=100, deadline=None)
def test_a_decision_taken_back_leaves_nothing(batch: list[Subject], refused: Subject) -> None:
    registry = Registry()
    for subject in batch:
        registry.take(subject)
    before = (dict(registry.index.holders), dict(registry.index.known))
    unresolve(registry.take(refused), registry.index)
    assert (registry.index.holders, registry.index.known) == before


@given(subjects)
def test_deciding_changes_nothing(subject: Subject) -> None:
    registry = Registry()
    registry.take(ANNA)
    before = (dict(registry.index.holders), dict(registry.index.known))
    identity = registry.identity(subject)
    assert decide(identity, registry.index) == decide(identity, registry.index)
    assert (registry.index.holders, registry.index.known) == before
