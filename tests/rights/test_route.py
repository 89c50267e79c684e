"""The routing table, row by row, against a table written here by hand from the decided page; then what withholds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ledger import states
from hub.rights.agreement import defaults
from hub.rights.configuration import Organisation, Partner
from hub.rights.route import (
    HUB,
    Erase,
    Facts,
    Reason,
    Relation,
    Send,
    Withhold,
    allowed,
    may_emit,
    route,
    table,
)
from hub.rights.territory import PilotArea
from tests.rights.world import PARTNERS, TODAY, agreement, configuration, facts, invented_siret, territory

WORLD = configuration()

#: What an event may say about a partner, one thing at a time.
SITUATIONS = {
    "nothing": lambda p: {},
    "addressed": lambda p: {"addressee": p},
    "structure": lambda p: {"structure": p, "organism": "DCD"},
    "structure ML": lambda p: {"structure": p, "organism": "ML"},
    "decision": lambda p: {"relations": [(p, "decision", "d")]},
    "referent": lambda p: {"relations": [(p, "referent", "UNIQUE")]},
    "request": lambda p: {"relations": [(p, "request", "m")]},
    "party": lambda p: {"parties": (p,)},
    "pmsmp": lambda p: {"measure_type": "pmsmp"},
    "mobilite": lambda p: {"measure_type": "mobilite"},
}
S = frozenset(SITUATIONS)  # subscribed: whatever the event says
AFTER_DECISION = {"decision"}
OPEN_REQUEST = {"request"}
OWN = {"decision", "referent"}
COPY = {"addressed", "pmsmp"}
COPY_OF_ITS_OWN = {"party", "decision", "referent"}

CONCERNED: dict[str, dict[str, Iterable[str]]] = {
    "NewRsaEntrant": {"departement": S},
    "RsaEntitlementChanged": {
        "departement": S, "france_travail": AFTER_DECISION, "mission_locale": AFTER_DECISION, "structure": OPEN_REQUEST,
    },
    "ContactChanged": {"departement": S, "mission_locale": AFTER_DECISION, "structure": OPEN_REQUEST},
    "PersonCorrected": {"departement": S, "mission_locale": AFTER_DECISION, "structure": OPEN_REQUEST},
    "DepartmentTransferred": {
        "departement": S, "france_travail": S, "mission_locale": AFTER_DECISION, "structure": OPEN_REQUEST,
    },
    "JourneyEntryReported": {"departement": S},
    "ActivityResumed": {"caf": S, "departement": S},
    "AppointmentChanged": {"departement": S, "france_travail": S, "mission_locale": OWN},
    "DiagnosisRecorded": {"departement": S},
    "OrientationProposed": {"departement": S},
    "OrientationDecided": {
        "departement": S, "france_travail": S, "mission_locale": {"structure ML"}, "structure": {"structure", "structure ML"},
    },
    "OrientationNotified": {
        "departement": S, "france_travail": S, "mission_locale": {"structure ML"}, "structure": {"structure", "structure ML"},
    },
    "ReferentDesignated": {"departement": S, "france_travail": S, "mission_locale": OWN | {"structure", "structure ML"}, "structure": OPEN_REQUEST},
    "EngagementContractChanged": {"departement": S, "france_travail": S, "mission_locale": OWN},
    "ReorientationRequested": {"departement": S, "france_travail": S},
    "JourneyEnded": {"departement": S, "france_travail": S, "mission_locale": OWN, "structure": OPEN_REQUEST},
    "MeasureRequested": {
        "departement": S, "france_travail": COPY, "mission_locale": COPY_OF_ITS_OWN, "structure": {"addressed"},
    },
    "MeasureWithdrawn": {
        "departement": S, "france_travail": COPY, "mission_locale": COPY_OF_ITS_OWN, "structure": {"addressed"},
    },
    "MeasureAnswered": {"departement": S, "france_travail": COPY, "mission_locale": COPY_OF_ITS_OWN},
    "MeasureStateChanged": {"departement": S, "france_travail": COPY, "mission_locale": COPY_OF_ITS_OWN},
    "DeliveryReported": {
        kind: {"addressed"} for kind in ("departement", "france_travail", "mission_locale", "structure")
    },
    "IdentityLinked": {},
    "IdentityMerged": {},
    "IdentitySplit": {},
    **{
        record: {
            kind: {"party"} for kind in ("caf", "departement", "france_travail", "mission_locale", "structure")
        }
        for record in ("PersonProtected", "SharingRestricted", "PersonErased")
    },
}  # fmt: skip

EMITS = {
    "NewRsaEntrant": {"caf"},
    "RsaEntitlementChanged": {"caf"},
    "ContactChanged": {"caf", "departement"},
    "PersonCorrected": {"caf", "departement"},
    "DepartmentTransferred": {"caf"},
    "JourneyEntryReported": {"france_travail", "mission_locale"},
    "ActivityResumed": {"departement", "structure", "employer"},
    "AppointmentChanged": {"departement"},
    "DiagnosisRecorded": {"departement"},
    "OrientationProposed": {"france_travail"},
    "OrientationDecided": {"departement", "france_travail"},
    "OrientationNotified": {"departement", "france_travail"},
    "ReferentDesignated": {"departement", "mission_locale"},
    "EngagementContractChanged": {"departement"},
    "ReorientationRequested": {"france_travail", "mission_locale", "structure", "employer"},
    "JourneyEnded": {"caf", "departement", "france_travail"},
    "MeasureRequested": {"departement", "mission_locale"},
    "MeasureWithdrawn": {"departement", "mission_locale"},
    "MeasureAnswered": {"structure", "employer", "france_travail"},
    "MeasureStateChanged": {"structure", "employer", "france_travail"},
}
NEEDS_ADDRESS = {"MeasureAnswered", "MeasureStateChanged"}
NEEDS_RELATION = {
    ("ReferentDesignated", "mission_locale"): ("decision", "referent"),
    ("ReorientationRequested", "structure"): ("referent",),
    ("ReorientationRequested", "employer"): ("referent",),
}


def concerned(given: Facts) -> set[str]:
    return {routed.partner for routed in route(given, WORLD)}


def verdicts(given: Facts, world: object = WORLD) -> dict[str, str]:
    """partner → "send", "erase" or the withheld reason."""
    names = {Send: "send", Erase: "erase"}
    return {r.partner: r.reason or names[type(r.verdict)] for r in route(given, world)}


# ------------------------------------------------------------------------------------------------ whom it concerns


def test_the_hand_written_table_covers_every_record_of_the_data_file() -> None:
    assert set(CONCERNED) == set(table().records)
    assert set(EMITS) == {record for record, row in table().records.items() if not row.hub}


@pytest.mark.parametrize("record", CONCERNED)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_exactly_whom_the_table_names_is_concerned(record: str, situation: str) -> None:
    for partner, kind in PARTNERS.items():
        expected = situation in CONCERNED[record].get("structure" if kind == "employer" else kind, ())
        given = facts(record, **SITUATIONS[situation](partner))
        assert (partner in concerned(given)) is expected, (partner, kind)


@pytest.mark.parametrize("record", CONCERNED)
def test_a_structure_never_learns_of_what_names_another_one(record: str) -> None:
    for situation in SITUATIONS.values():
        assert not {"s2", "e1"} & concerned(facts(record, **situation("s1")))


def test_another_territorys_event_concerns_nobody() -> None:
    assert route(facts("NewRsaEntrant", territory="79"), WORLD) == ()


def test_an_unknown_record_concerns_nobody() -> None:
    assert route(facts("Rumour"), WORLD) == ()


def test_a_removed_partner_is_not_concerned_from_its_last_day_on() -> None:
    partners = tuple(
        Partner(id=p, organisation=f"o-{p}", connector="nul", removed_on=TODAY if p == "cd" else None)
        for p in PARTNERS
    )
    world = configuration(partners=partners)
    assert verdicts(facts("NewRsaEntrant"), world) == {}
    assert verdicts(facts("NewRsaEntrant", accepted_on=TODAY - timedelta(days=1)), world) == {"cd": "send"}
    assert allowed(facts("NewRsaEntrant"), world, "cd", TODAY).reason == "partner_removed"
    assert allowed(facts("NewRsaEntrant"), world, "nobody", TODAY).reason == "partner_removed"


# ------------------------------------------------------------------------------------------------ what withholds


def test_every_reason_is_in_the_ledgers_closed_list_and_has_a_sentence() -> None:
    assert set(table().reasons) == set(get_args(Reason)) == states.reasons("withheld")
    assert all(sentence.endswith(".") for sentence in (*table().reasons.values(), *table().refusals.values()))


def test_an_organisations_own_event_does_not_come_back_to_any_of_its_systems() -> None:
    second = Partner(id="cd2", organisation="o-cd", connector="nul")
    world = configuration(partners=(*WORLD.partners, second))
    assert verdicts(facts("ContactChanged", "cd"), world) == {"cd": "own_event", "cd2": "own_event"}
    assert verdicts(facts("ContactChanged", "caf"), world) == {"cd": "send", "cd2": "send"}


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (date(2024, 12, 31), "no_agreement"),
        (date(2025, 1, 1), "send"),
        (date(2027, 12, 31), "send"),
        (date(2028, 1, 1), "no_agreement"),
    ],
)
def test_an_agreement_holds_from_its_first_to_its_last_day(on: date, expected: str) -> None:
    assert verdicts(facts("NewRsaEntrant", accepted_on=on))["cd"] == expected


def test_an_agreement_that_does_not_name_the_record_is_none() -> None:
    world = configuration(agreements=(agreement("cd", records=("ContactChanged",)),))
    assert verdicts(facts("NewRsaEntrant"), world) == {"cd": "no_agreement"}


def test_a_kind_without_a_default_for_the_record_receives_nothing() -> None:
    assert "RsaEntitlementChanged" not in defaults("employer")
    given = facts("RsaEntitlementChanged", relations=[("e1", "request", "m"), ("s1", "request", "n")])
    assert verdicts(given)["e1"] == "no_agreement"
    assert verdicts(given)["s1"] == "send"


def test_the_claim_reads_the_agreement_of_its_own_day() -> None:
    given = facts("NewRsaEntrant")
    assert allowed(given, WORLD, "cd", date(2027, 12, 31)).verdict == Send()
    assert allowed(given, WORLD, "cd", date(2028, 1, 1)).verdict == Withhold("no_agreement")


def test_under_a_restriction_nothing_is_sent_but_notices() -> None:
    assert set(verdicts(facts("OrientationDecided", restricted=True)).values()) == {"restricted"}
    told = facts("SharingRestricted", restricted=True, parties=("cd", "ft", "s1", "caf"))
    assert verdicts(told) == {"caf": "send", "cd": "send", "ft": "send", "s1": "send"}


@pytest.mark.parametrize("entry", ["*", "france_travail", "o-ft", "ft"])
def test_an_objection_stops_sharing_unless_a_legal_duty_commands_it(entry: str) -> None:
    assert verdicts(facts("ReferentDesignated", objections=(entry,)))["ft"] == "objection"
    assert verdicts(facts("OrientationDecided", objections=(entry,)))["ft"] == "send"


def test_an_objection_to_somebody_else_stops_nothing() -> None:
    given = facts("ReferentDesignated", structure="ml", objections=("ml", "structure", "o-cd2"))
    assert verdicts(given) == {"cd": "send", "ft": "send", "ml": "objection"}


def sensitive(record: str, emitter: str = "ml", **changed: object) -> Facts:
    values = {"measure_type": "sensitive", "addressee": "s1", "parties": (emitter,)} | changed
    return facts(record, emitter, **values)


def test_a_sensitive_request_reaches_its_addressee_and_the_copy_is_withheld() -> None:
    given = sensitive("MeasureRequested", relations=[("ml", "decision", "d")])
    assert verdicts(given) == {"cd": "sensitive_measure", "ml": "own_event", "s1": "send"}
    ordinary = replace(given, measure_type="mobilite")
    assert verdicts(ordinary) == {"cd": "send", "ml": "own_event", "s1": "send"}


def test_a_sensitive_answer_reaches_who_asked_and_nobody_else() -> None:
    given = replace(sensitive("MeasureAnswered", "s1"), parties=("ml",))
    assert verdicts(given) == {"cd": "sensitive_measure", "ml": "send"}
    followed = replace(given, parties=("cd",), relations=(Relation("ml", "referent", "UNIQUE"),))
    assert verdicts(followed) == {"cd": "send", "ml": "sensitive_measure"}


def test_a_sensitive_measure_gives_no_copy_to_france_travail_even_as_a_row() -> None:
    assert "ft" not in concerned(sensitive("MeasureRequested"))


def test_a_provider_without_an_article_9_basis_gets_no_sensitive_request() -> None:
    bare = agreement("s1", article9=None)
    world = configuration(agreements=tuple(bare if a.organisation == "o-s1" else a for a in WORLD.agreements))
    assert verdicts(sensitive("MeasureRequested"), world)["s1"] == "no_agreement"
    assert verdicts(replace(sensitive("MeasureRequested"), measure_type="mobilite"), world)["s1"] == "send"


def test_outside_every_pilot_area_an_event_is_withheld() -> None:
    area = PilotArea(name="Boucles", start=date(2026, 4, 15), communes=("76540",))
    world = configuration(territory=territory(pilot_areas=(area,)))
    place = world.territory.pilot_area
    assert place("76540", date(2026, 4, 14)) is None
    for commune, expected in (("76540", "send"), ("76351", "before_pilot_date"), (None, "before_pilot_date")):
        given = facts("NewRsaEntrant", pilot_area=place(commune, TODAY))
        assert verdicts(given, world) == {"cd": expected}
    assert verdicts(facts("NewRsaEntrant", pilot_area=None)) == {"cd": "send"}


def test_a_request_that_has_expired_is_not_sent() -> None:
    given = facts("MeasureRequested", "cd", addressee="s1", measure_type="mobilite", expires_on=TODAY)
    assert verdicts(given)["s1"] == "send"
    assert allowed(given, WORLD, "s1", TODAY + timedelta(days=1)).reason == "expired"


def test_of_a_person_being_erased_what_would_be_sent_is_erased() -> None:
    assert verdicts(facts("ContactChanged", "caf", erasing=True)) == {"cd": "erase"}
    assert verdicts(facts("ContactChanged", "cd", erasing=True)) == {"cd": "own_event"}
    assert verdicts(facts("PersonErased", parties=("cd", "s2"), erasing=True)) == {"cd": "send", "s2": "send"}


# ------------------------------------------------------------------------------------------------ who may say it


@pytest.mark.parametrize("record", EMITS)
def test_exactly_the_kinds_with_an_e_may_emit(record: str) -> None:
    for partner, kind in PARTNERS.items():
        relations = [(partner, r, "k") for r in NEEDS_RELATION.get((record, kind), ())]
        addressee = partner if record in NEEDS_ADDRESS else None
        given = facts(record, partner, addressee=addressee, relations=relations)
        expected = None if kind in EMITS[record] else "not_an_emitter"
        assert may_emit(partner, record, given, WORLD) == expected, partner


@pytest.mark.parametrize("record", sorted(NEEDS_ADDRESS))
def test_an_answer_is_taken_only_on_a_request_addressed_to_its_sender(record: str) -> None:
    for addressee in ("s2", None):
        given = facts(record, "s1", addressee=addressee, relations=[("s1", "request", "m")])
        assert may_emit("s1", record, given, WORLD) == "not_addressed"


@pytest.mark.parametrize(("record", "kind"), NEEDS_RELATION)
def test_what_only_a_companion_may_say_needs_such_a_relation(record: str, kind: str) -> None:
    partner = next(p for p, k in PARTNERS.items() if k == kind)
    for relations in ([], [(partner, "request", "m")], [("s2", "referent", "UNIQUE")]):
        given = facts(record, partner, relations=relations)
        assert may_emit(partner, record, given, WORLD) == "no_relation"
    for relation in NEEDS_RELATION[record, kind]:
        given = facts(record, partner, relations=[(partner, relation, "k")])
        assert may_emit(partner, record, given, WORLD) is None


@pytest.mark.parametrize("masters", [("caf",), ("somebody",), ()])
def test_an_emitter_that_is_not_the_declared_master_is_refused(masters: tuple[str, ...]) -> None:
    world = configuration(territory=territory(masters={"ContactChanged": masters}))
    assert may_emit("cd", "ContactChanged", facts("ContactChanged", "cd"), world) == "not_master"
    assert may_emit("cd", "PersonCorrected", facts("PersonCorrected", "cd"), world) is None


def test_a_master_is_named_by_kind_or_by_partner() -> None:
    for name in ("departement", "cd"):
        world = configuration(territory=territory(masters={"ContactChanged": (name,)}))
        assert may_emit("cd", "ContactChanged", facts("ContactChanged", "cd"), world) is None


@pytest.mark.parametrize("record", [record for record, row in table().records.items() if row.hub])
def test_the_hubs_own_records_come_from_the_hub_alone(record: str) -> None:
    assert may_emit(HUB, record, facts(record, HUB), WORLD) is None
    for partner in PARTNERS:
        assert may_emit(partner, record, facts(record, partner), WORLD) == "not_an_emitter"


@pytest.mark.parametrize(
    ("addressee", "expected"),
    [
        ("s1", None),
        ("e1", None),
        ("ft", None),
        ("ml", "addressee_not_concerned"),
        ("cd", "addressee_not_concerned"),
        ("caf", "addressee_not_concerned"),
        ("nobody", "unknown_addressee"),
    ],
)
def test_a_request_is_addressed_to_somebody_who_may_be_asked(addressee: str, expected: str | None) -> None:
    given = facts("MeasureRequested", "cd", addressee=addressee)
    assert may_emit("cd", "MeasureRequested", given, WORLD) == expected


def test_strangers_and_unknown_records_are_refused_by_name() -> None:
    given = facts("ContactChanged", "cd")
    assert may_emit("nobody", "ContactChanged", given, WORLD) == "unknown_partner"
    assert may_emit("cd", "Rumour", given, WORLD) == "unknown_record"
    assert may_emit("cd", "ContactChanged", replace(given, territory="79"), WORLD) == "wrong_territory"
    gone = tuple(
        Partner(id=p.id, organisation=p.organisation, connector="nul", removed_on=TODAY)
        for p in WORLD.partners
    )
    assert may_emit("cd", "ContactChanged", given, configuration(partners=gone)) == "partner_removed"


# ------------------------------------------------------------------------------------------------ properties

partners = st.sampled_from([*PARTNERS, "nobody"])
any_facts = st.builds(
    Facts,
    territory=st.just("76"),
    record=st.sampled_from(list(CONCERNED)),
    emitter=partners,
    emitter_organisation=partners.map("o-{}".format),
    accepted_on=st.dates(date(2024, 6, 1), date(2028, 6, 1)),
    addressee=st.none() | partners,
    organism=st.sampled_from([None, "ML", "FT", "DCD"]),
    structure=st.none() | partners,
    measure_type=st.sampled_from([None, "mobilite", "pmsmp", "sensitive"]),
    pilot_area=st.sampled_from([None, "Seine-Maritime"]),
    matter=st.none() | st.text(max_size=10),
    expires_on=st.none() | st.dates(date(2024, 6, 1), date(2028, 6, 1)),
    relations=st.lists(
        st.builds(Relation, partners, st.sampled_from(["decision", "referent", "request"]), st.text(max_size=5)), max_size=5
    ).map(tuple),
    parties=st.lists(partners, max_size=3).map(tuple),
    objections=st.lists(st.sampled_from(["*", "structure", "o-ft", "ml"]), max_size=2).map(tuple),
    restricted=st.booleans(),
    erasing=st.booleans(),
)  # fmt: skip


@given(any_facts)
def test_facts_survive_their_json(given_facts: Facts) -> None:
    assert Facts.from_json(json.loads(json.dumps(given_facts.to_json()))) == given_facts


@given(any_facts)
@settings(max_examples=200, deadline=None)
def test_routing_is_deterministic_sorted_and_names_each_partner_once(given_facts: Facts) -> None:
    routed = route(given_facts, WORLD)
    names = [r.partner for r in routed]
    assert names == sorted(set(names))
    assert routed == route(given_facts, _SHUFFLED)


_SHUFFLED = configuration(
    partners=tuple(reversed(WORLD.partners)),
    organisations=tuple(reversed(WORLD.organisations)),
    agreements=tuple(reversed(WORLD.agreements)),
)


@given(any_facts)
@settings(max_examples=200, deadline=None)
def test_a_structure_or_employer_gets_only_what_names_it(given_facts: Facts) -> None:
    named = {given_facts.addressee, given_facts.structure, *given_facts.parties}
    named |= {relation.partner for relation in given_facts.relations}
    assert concerned(given_facts) & {"s1", "s2", "e1"} <= named


@given(any_facts)
@settings(max_examples=200, deadline=None)
def test_nobody_is_sent_a_sensitive_measure_but_who_asked_and_who_gives_it(given_facts: Facts) -> None:
    given_facts = replace(given_facts, measure_type="sensitive")
    if given_facts.record.startswith("Measure"):
        sent = {p for p, verdict in verdicts(given_facts).items() if verdict == "send"}
        assert sent <= {given_facts.addressee, *given_facts.parties}


@given(any_facts)
@settings(max_examples=200, deadline=None)
def test_the_claims_verdict_on_the_day_of_accept_is_the_routes(given_facts: Facts) -> None:
    for routed in route(given_facts, WORLD):
        assert allowed(given_facts, WORLD, routed.partner, given_facts.accepted_on) == routed


@given(any_facts)
@settings(max_examples=100, deadline=None)
def test_three_hundred_more_structures_change_nothing_for_the_others(given_facts: Facts) -> None:
    assert route(given_facts, _CROWDED) == route(given_facts, WORLD)


_CROWDED = configuration(
    organisations=(
        *WORLD.organisations,
        *(
            Organisation(id=f"o-x{n}", siret=invented_siret(100 + n), kind="structure", name="X")
            for n in range(300)
        ),
    ),
    partners=(
        *WORLD.partners,
        *(Partner(id=f"x{n}", organisation=f"o-x{n}", connector="nul") for n in range(300)),
    ),
)


def test_conditions_of_the_data_file_are_all_known_and_all_used() -> None:
    used = {test for row in table().records.values() for tests in row.to.values() for test in tests}
    assert used == set(table().conditions)


def test_every_order_of_relations_gives_the_same_rows() -> None:
    relations = [("ft", "decision", "d"), ("s1", "request", "m"), ("ml", "decision", "d")]
    found = {
        route(facts("RsaEntitlementChanged", "caf", relations=order), WORLD)
        for order in permutations(relations)
    }
    assert len(found) == 1
