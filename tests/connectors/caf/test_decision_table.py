"""The table "Who is an entrant (CNAF files)", row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from hub.dev.generate.cnaf import Family, Population
from hub.intake.report import ImportReport
from hub.sdk.inbound import FileRefused
from tests.connectors.caf.running import Payers, written

FEBRUARY, MARCH, APRIL = date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)
LATER = date(2026, 3, 20)


class Story:
    """One household over several files of its payer."""

    def __init__(self, **changes: object) -> None:
        self.payers, self.population = Payers(), Population(1)
        person = self.population.person(
            **{k: v for k, v in changes.items() if k in ("entered", "top", "nir", "preceding")}
        )
        family = {k: v for k, v in changes.items() if k not in ("entered", "top", "nir", "preceding")}
        self.family: Family = self.population.family("", person, **family)
        self.person = person

    def monthly(
        self, dtref: date = FEBRUARY, flux: str = "M", **changes: object
    ) -> list[tuple[str, list[str]]]:
        return self._read(flux, dtref, changes)

    def daily(self, dtref: date = LATER, **changes: object) -> list[tuple[str, list[str]]]:
        return self._read("I", dtref, changes)

    def _read(self, flux: str, dtref: date, changes: dict[str, object]) -> list[tuple[str, list[str]]]:
        for name, value in changes.items():
            setattr(self.person if hasattr(self.person, name) else self.family, name, value)
        self.report: ImportReport = self.payers.read(written([self.family], flux, dtref)[0])
        return [(item.record, item.rules) for item in self.report.items]

    @property
    def warned(self) -> set[str]:
        return {warning.code for warning in self.report.warnings}


def test_baseline_with_top_is_an_entrant_by_top() -> None:
    assert Story(entered="1").monthly() == [("NewRsaEntrant", ["TOP"])]


def test_baseline_with_top_and_event_is_an_entrant_by_both() -> None:
    assert Story(entered="1", events=[("ENTDED", FEBRUARY)]).monthly() == [("NewRsaEntrant", ["FG", "TOP"])]


def test_baseline_with_the_event_in_its_month_and_no_top_is_an_entrant_by_fg() -> None:
    assert Story(events=[("ENTDED", date(2026, 2, 1))]).monthly() == [("NewRsaEntrant", ["FG"])]


def test_baseline_with_the_event_of_another_month_is_known_stock() -> None:
    story = Story(events=[("ENTDED", date(2026, 1, 31))])
    assert story.monthly() == []
    assert story.report.outcomes["stock"] == 1


def test_baseline_without_any_witness_is_known_stock() -> None:
    story = Story()
    assert story.monthly() == []
    assert story.report.outcomes["stock"] == 1


def test_baseline_where_top_denies_the_event_is_known_stock() -> None:
    story = Story(entered="0", events=[("ENTDED", FEBRUARY)])
    assert story.monthly() == []
    assert story.report.outcomes["stock"] == 1


@pytest.mark.parametrize("read", ["monthly", "daily"])
def test_after_the_baseline_a_person_without_open_period_is_an_entrant_by_diff(read: str) -> None:
    story = Story(state="0")
    assert story.monthly() == []
    assert getattr(story, read)(LATER, state="2") == [("NewRsaEntrant", ["DIFF"])]


def test_after_the_baseline_the_rules_that_also_fire_are_named_beside_diff() -> None:
    story = Story(state="0")
    story.monthly()
    assert story.daily(state="2", entered="1", events=[("ENTDED", LATER)]) == [
        ("NewRsaEntrant", ["FG", "TOP", "DIFF"])
    ]


def test_an_event_up_to_the_previous_dtref_is_not_in_the_period() -> None:
    story = Story(state="0")
    story.monthly()
    assert story.monthly(MARCH, state="2", events=[("ENTDED", FEBRUARY)]) == [("NewRsaEntrant", ["DIFF"])]


@pytest.mark.parametrize(
    ("changes", "rule"), [({"entered": "1"}, "TOP"), ({"events": [("ENTDED", LATER)]}, "FG")]
)
def test_stock_with_a_later_witness_is_an_entrant_and_listed_as_a_disagreement(
    changes: dict, rule: str
) -> None:
    story = Story()
    story.monthly()
    assert story.monthly(MARCH, **changes) == [("NewRsaEntrant", [rule])]
    assert "entrant_disagreement" in story.warned


def test_stock_whose_spouse_enters_is_no_entrant_when_top_denies_it() -> None:
    story = Story()
    story.monthly()
    assert story.monthly(MARCH, entered="0", events=[("ENTDED", LATER)]) == []


def test_one_entrant_per_person_and_period() -> None:
    story = Story(entered="1")
    story.monthly()
    assert story.daily() == []
    assert story.monthly(MARCH) == []


@pytest.mark.parametrize(
    ("state", "reasons", "after"),
    [
        ("0", [], "PENDING"),
        ("1", [("F09", LATER)], "REFUSED"),
        ("3", [("DB", LATER)], "OPEN_SUSPENDED"),
        ("4", [("06", LATER)], "PAYMENT_SUSPENDED"),
        ("4", [("02", LATER)], "PAYMENT_SUSPENDED"),
        ("5", [("RFD", LATER)], "CLOSED"),
        ("6", [("ECH", LATER)], "CLOSED"),
    ],
)
def test_any_change_of_state_in_an_open_period_is_told(state: str, reasons: list, after: str) -> None:
    story = Story()
    story.monthly()
    assert story.daily(state=state, reasons=reasons) == [("RsaEntitlementChanged", [])]
    (draft,) = story.payers.drafts
    assert (draft.fields["before"], draft.fields["after"]) == ("OPEN", after)
    assert draft.fields["effective_on"] == LATER


def test_resumption_is_told_and_makes_no_new_entrant() -> None:
    story = Story(entered="1", state="4", reasons=[("02", FEBRUARY)])
    assert story.monthly() == []
    story.daily(state="2", reasons=[])
    assert story.report.events == {"NewRsaEntrant": 1}
    story.daily(date(2026, 3, 21), state="4", reasons=[("02", LATER)])
    assert story.monthly(MARCH, state="2", reasons=[]) == [("RsaEntitlementChanged", [])]


@pytest.mark.parametrize("state", ["1", "5", "6"])
def test_refusal_and_closure_end_the_period_so_that_a_return_is_a_new_entrant(state: str) -> None:
    story = Story(entered="1")
    story.monthly()
    story.daily(state=state, entered=None)
    assert [draft.journey for draft in story.payers.drafts] == ["close"]
    assert story.monthly(MARCH, state="2") == [("NewRsaEntrant", ["DIFF"])]
    assert story.payers.drafts[0].fields["first_time"] is False


def test_a_new_claim_without_the_preceding_one_begins_a_new_period() -> None:
    story = Story(entered="1")
    story.monthly()
    assert story.monthly(MARCH, entered=None, claim="00000000099") == [("NewRsaEntrant", ["DIFF"])]
    assert [draft.journey for draft in story.payers.drafts] == ["renew"]


def test_a_new_claim_with_the_preceding_one_goes_on() -> None:
    story = Story(entered="1")
    story.monthly()
    assert story.monthly(MARCH, claim="00000000099", preceding=story.family.claim) == []


def test_a_new_claim_that_is_pending_ends_the_period() -> None:
    story = Story()
    story.monthly()
    assert story.daily(claim="00000000099", state="0") == [("RsaEntitlementChanged", [])]
    assert story.monthly(MARCH, state="2") == [("NewRsaEntrant", ["DIFF"])]


def test_a_claim_of_the_past_says_nothing_about_the_present_one() -> None:
    story = Story()
    story.monthly()
    past = replace(story.family, claim=story.family.claim, state="6", reasons=[("RFD", FEBRUARY)])
    story.monthly(MARCH, claim="00000000099")
    report = story.payers.read(written([past], "M", APRIL)[0])
    assert report.events == {}
    assert report.dropped["past_claim"] == 1


def test_a_claim_of_the_past_that_pays_again_begins_a_period_once_the_present_one_is_closed() -> None:
    story = Story()
    story.monthly()
    first = story.family.claim
    story.monthly(MARCH, claim="00000000099")
    story.daily(date(2026, 4, 1), state="5")
    assert story.daily(date(2026, 4, 2), claim=first, state="2") == [("NewRsaEntrant", ["DIFF"])]
    assert story.daily(date(2026, 4, 3), state="5") == [("RsaEntitlementChanged", [])]


def test_a_new_address_in_an_open_period_is_told() -> None:
    story = Story()
    story.monthly()
    assert story.daily(address=("7", "DU PORT", "76351", "76600", "LE HAVRE")) == [("ContactChanged", [])]
    assert story.report.items[0].fields == ["address"]
    assert story.payers.drafts[0].subject.address.insee_code == "76351"


def test_the_day_of_a_move_is_the_facts_own_and_a_correction_under_it_is_of_dtref() -> None:
    story = Story()
    story.monthly()
    story.daily(address=("7", "DU PORT", "76351", "76600", "LE HAVRE"), moved_on=date(2026, 3, 2))
    assert "2026-03-02" in story.payers.drafts[0].key
    assert story.payers.drafts[0].fields["modified_at"].date() == date(2026, 3, 2)
    story.monthly(MARCH, address=("7 BIS", "DU PORT", "76351", "76600", "LE HAVRE"))
    assert "2026-03-31" in story.payers.drafts[0].key
    assert story.payers.drafts[0].fields["modified_at"] is None


def test_an_address_that_a_file_leaves_out_is_not_forgotten() -> None:
    story = Story()
    story.monthly()
    address = story.family.address
    assert story.daily(address=None) == []
    assert story.monthly(MARCH, address=address) == []


def test_corrected_civil_data_in_an_open_period_are_told_by_field() -> None:
    story = Story()
    story.monthly()
    assert story.daily(name="AUTREMENT", born=date(1980, 1, 1)) == [("PersonCorrected", [])]
    assert story.report.items[0].fields == ["name", "birth_date"]


def test_leaving_is_told_after_the_closure_and_closes_the_journey() -> None:
    story = Story()
    story.monthly()
    told = story.daily(state="5", reasons=[("MUT", LATER)], left=("CAF", "271", LATER))
    assert told == [("RsaEntitlementChanged", []), ("DepartmentTransferred", [])]
    assert [draft.journey for draft in story.payers.drafts] == [None, "close"]
    assert story.payers.drafts[0].fields["reason_group"] == "TRANSFER"
    assert story.payers.drafts[1].fields == {
        "direction": "OUT",
        "other_departement": "27",
        "transferred_on": LATER,
    }


def test_arriving_is_told_before_the_entrant_and_once() -> None:
    story = Story(entered="1", arrived=("CAF", "591", FEBRUARY))
    assert story.monthly() == [("DepartmentTransferred", []), ("NewRsaEntrant", ["TOP"])]
    assert story.monthly(MARCH) == []


def test_a_daily_before_any_monthly_goes_by_witnesses_only_and_sets_no_baseline() -> None:
    story = Story()
    assert story.daily() == []
    assert story.report.dropped == {"before_baseline": 1}
    assert "no_baseline" in story.warned
    assert story.monthly(MARCH) == []
    assert story.report.outcomes["stock"] == 1
    assert story.report.payers[0]["baseline"] is True


def test_a_daily_before_any_monthly_takes_a_witnessed_entrant_once() -> None:
    story = Story(entered="1", events=[("ENTDED", LATER)])
    assert story.daily() == [("NewRsaEntrant", ["FG", "TOP"])]
    assert story.monthly(MARCH) == []


def test_a_household_absent_from_a_monthly_leads_to_no_event() -> None:
    story = Story(entered="1")
    story.monthly()
    other = story.population.family()
    report = story.payers.read(written([other], "M", MARCH)[0])
    assert report.events == {"NewRsaEntrant": 1}
    assert story.monthly(APRIL) == []


def test_an_older_monthly_is_refused_as_a_whole() -> None:
    story = Story()
    story.monthly(MARCH)
    with pytest.raises(FileRefused, match="older than 2026-03-31") as refused:
        story.monthly(FEBRUARY)
    assert refused.value.code == "older_dtref"


def test_an_older_daily_is_refused_but_kinds_are_compared_apart() -> None:
    story = Story()
    story.monthly(MARCH)
    story.daily(date(2026, 3, 12))
    assert "late_daily" in story.warned
    with pytest.raises(FileRefused):
        story.daily(date(2026, 3, 11))


def test_a_daily_older_than_the_last_monthly_leaves_the_state_alone() -> None:
    story = Story()
    story.monthly()
    story.monthly(MARCH)
    assert story.daily(date(2026, 3, 12), state="4", reasons=[("06", LATER)]) == []
    assert story.monthly(APRIL, state="2", reasons=[]) == []


def test_a_daily_older_than_the_last_monthly_still_witnesses_an_entry() -> None:
    story = Story()
    story.monthly()
    story.monthly(MARCH)
    assert story.daily(date(2026, 3, 12), entered="1") == [("NewRsaEntrant", ["TOP"])]
    assert story.monthly(APRIL) == []


def test_a_daily_older_than_the_last_monthly_reopens_nothing_that_the_monthly_closed() -> None:
    story = Story()
    story.monthly()
    story.monthly(MARCH, state="5")
    assert story.daily(date(2026, 3, 12), state="2") == []
    assert story.report.dropped == {"late": 1}


def test_a_resend_of_the_baseline_is_read_as_the_baseline() -> None:
    story = Story()
    story.monthly()
    other = story.population.family()
    report = story.payers.read(written([story.family, other], "R", FEBRUARY)[0], "CG076.RSABEM.xml")
    assert report.events == {}
    assert report.outcomes["stock"] == 1
    assert report.payers[0]["baseline"] is True
    assert "resend" in {warning.code for warning in report.warnings}


def test_a_resend_has_the_period_of_the_file_that_it_repeats() -> None:
    story = Story(state="0")
    story.monthly()
    story.monthly(MARCH)
    told = story.monthly(MARCH, "R", state="2", events=[("ENTDED", date(2026, 3, 1))])
    assert told == [("NewRsaEntrant", ["FG", "DIFF"])]
    assert story.report.payers[0]["previous_dtref"] == "2026-02-28"


def test_a_household_twice_in_a_file_is_a_duplicate_and_one_that_differs_is_what_came_later() -> None:
    story = Story(entered="1", copies=2)
    assert story.monthly() == [("NewRsaEntrant", ["TOP"])]
    assert (story.report.adults, story.report.dropped) == (1, {"duplicate": 1})
    later = replace(story.family, state="4", reasons=[("06", MARCH)], copies=1)
    report = story.payers.read(written([story.family, later], "M", MARCH)[0])
    assert (report.adults, report.events) == (1, {"RsaEntitlementChanged": 1})


def test_a_resend_of_a_daily_is_known_by_its_name_or_its_dtref() -> None:
    story = Story()
    story.monthly()
    story.daily(LATER)
    for name in ("CG076.RSABEI.xml", "renvoi.xml"):
        report = story.payers.read(written([story.family], "R", LATER)[0], name)
        assert any(w.detail.endswith(f"read as the daily file of {LATER}") for w in report.warnings)


def test_each_payer_has_its_own_baseline() -> None:
    story = Story()
    story.monthly()
    other = story.population.family(numorg="762")
    report = story.payers.read(written([story.family, other], "M", MARCH)[0])
    assert [(p["numorg"], p["baseline"], p["previous_dtref"]) for p in report.payers] == [
        ("761", False, "2026-02-28"),
        ("762", True, None),
    ]
    assert report.outcomes["stock"] == 1


@pytest.mark.parametrize(
    ("reasons", "rights"),
    [
        (["01"], True), (["05"], True), (["06"], True), (["35"], True), (["36"], True), (["44"], True), (["70"], True),
        (["CG"], True), (["06", "CG"], True), (["06", "02"], False), (["02"], False), (["AB"], False), (["CV"], False), ([], False),
    ],
)  # fmt: skip
def test_suspended_payment_keeps_rights_only_for_its_closed_list_of_reasons(
    reasons: list[str], rights: bool
) -> None:
    story = Story(entered="1", state="4", reasons=[(reason, FEBRUARY) for reason in reasons])
    assert bool(story.monthly()) is rights
    assert ("state_4_without_reason" in story.warned) is (not reasons)


def test_sanctions_and_health_are_told_as_the_same_group() -> None:
    groups = set()
    for reason in ("CG", "44", "70"):
        story = Story()
        story.monthly()
        story.daily(state="4", reasons=[(reason, LATER)])
        groups.add(story.payers.drafts[0].fields["reason_group"])
    assert groups == {"OTHER"}


def test_the_same_change_a_second_time_under_the_same_date_has_another_source_id() -> None:
    story = Story()
    story.monthly()
    keys = []
    for day, state in ((5, "4"), (6, "2"), (7, "4"), (8, "2")):
        reasons = [("06", date(2026, 3, 1))] if state == "4" else []
        story.daily(date(2026, 3, day), state=state, reasons=reasons)
        keys += [draft.key for draft in story.payers.drafts]
    assert len(keys) == len(set(keys)) == 4


def test_source_ids_do_not_depend_on_the_file() -> None:
    first, second = Story(entered="1"), Story(entered="1")
    first.monthly(FEBRUARY)
    second.daily(FEBRUARY)
    assert [d.key for d in first.payers.drafts] == [d.key for d in second.payers.drafts]


def test_a_nir_that_appears_later_is_the_same_person() -> None:
    story = Story(nir=None)
    story.monthly()
    assert story.monthly(MARCH, nir=story.population.nir(story.person.sex, story.person.born)) == []


def test_a_nir_that_one_file_leaves_out_is_the_same_person() -> None:
    story = Story()
    story.monthly()
    nir = story.person.nir
    assert story.monthly(MARCH, nir=None) == []
    assert story.monthly(APRIL, nir=nir, first_name="PRÉNOM CORRIGÉ") == [("PersonCorrected", [])]


def test_another_first_name_without_nir_is_another_person() -> None:
    story = Story(nir=None)
    story.monthly()
    assert story.monthly(MARCH, first_name="ZÉPHYRIN") == [("NewRsaEntrant", ["DIFF"])]


def test_memory_holds_no_identity_and_no_code() -> None:
    story = Story(entered="1", state="4", reasons=[("CG", FEBRUARY)])
    story.monthly()
    (state,) = story.payers.stored.values()
    text = repr(state)
    for value in (
        story.person.nir,
        story.person.birth_name,
        story.person.born.isoformat(),
        story.family.claim,
        "CG",
    ):
        assert value not in text
    assert {"state": "PAYMENT_SUSPENDED", "role": "DEM", "emitted": True}.items() <= state["persons"][
        0
    ].items()
