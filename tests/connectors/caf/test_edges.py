"""What leaves the reader: drafts that fit the contracts, and nothing that must stay outside."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest

from connectors.caf import rules
from connectors.caf.drafts import departement_of, reason_group
from connectors.caf.formats.rsabe import Household
from hub.dev.generate.cnaf import Oracle, Population
from hub.dev.generate.cnaf_months import Town
from hub.dev.generate.cnaf_shapes import SHAPES, all_shapes
from hub.log import models
from hub.people.identity import normalise
from hub.sdk.codes import code_table
from hub.sdk.inbound import Draft
from hub.sdk.manifest import load
from tests.connectors.caf.running import READER, Payers, assert_agrees, written

FOLDER = Path(rules.__file__).parent
DTREF = date(2026, 2, 28)


def drafts_of_many_months() -> list[Draft]:
    population = Population(11)
    town, payers, found = Town(population, all_shapes(population, DTREF)), Payers(), []
    for month in range(2, 8):
        dtref = date(2026, month, 28)
        if month > 2:
            town.happen(dtref, 0.6)
        payers.read(written(town.families, "M", dtref)[0])
        found += payers.drafts
    return found


DRAFTS = drafts_of_many_months()


def test_every_record_of_the_manifest_is_emitted_and_fits_its_contract() -> None:
    manifest = load(FOLDER, "connectors.caf").manifest
    assert {draft.record for draft in DRAFTS} == set(manifest.flows[0].records)
    for draft in DRAFTS:
        subject = draft.subject
        person = {
            "birth_name": subject.birth_name,
            "name": subject.name,
            "first_names": list(subject.first_names),
            "birth_date": subject.birth_date,
            "birth_day_known": subject.birth_day_known,
            "sex": subject.sex,
            "phones": [],
            "address": {
                "lines": list(subject.address.lines),
                "postal_code": subject.address.postal_code,
                "insee_code": subject.address.insee_code,
                "commune": subject.address.commune,
            }
            if subject.address
            else None,
        }
        common = {
            "territory": "76",
            "journey": uuid4(),
            "source": {"system": "caf", "position": draft.position.ordinal, "rule": draft.rule},
            "observed_at": draft.observed_at,
            "person": person,
        }
        getattr(models, draft.record).model_validate({**common, **draft.fields}, strict=False)


def test_source_ids_are_never_used_twice() -> None:
    keys = [draft.key for draft in DRAFTS]
    assert len(keys) == len(set(keys))


def test_no_raw_code_is_in_an_event() -> None:
    for draft in DRAFTS:
        values = {str(value) for value in draft.fields.values()}
        assert not values & {row.theirs for row in rules.SUSPENSIONS.rows}
        assert draft.subject.numdemrsa not in values
        assert draft.subject.nir not in values


def read(name: str) -> tuple[str, Household]:
    population = Population(5)
    family = SHAPES[name](population, DTREF)
    source = BytesIO(written([family])[0])
    (household,) = READER.read(source, READER.examine(source, {}))
    return source.getvalue().decode("cp1252"), household


@pytest.mark.parametrize(
    "value", ["000777.77", "021", "DDGRO", "2026-01-01", "CHO", "CEL", "PAYS FICTIF", "D'AVANT"]
)
def test_sensitive_parts_are_dropped_at_the_edge(value: str) -> None:
    text, household = read("sensitive_parts")
    assert value in text
    assert value not in repr(household)


def test_children_are_counted_and_nothing_more() -> None:
    text, household = read("couple")
    assert text.count("<Personne>") == 3
    assert (len(household.adults), household.children) == (2, 1)


def test_an_msa_matricule_is_no_allocation_number() -> None:
    payers = Payers()
    payers.read(written([SHAPES["msa"](Population(5), DTREF)])[0])
    identity = normalise(payers.drafts[0].subject, ("CAF", "761"), "caf")
    assert "matricule" not in identity.identifiers


def test_a_wrong_nir_costs_the_nir_and_not_the_person() -> None:
    payers = Payers()
    report = payers.read(written([SHAPES["nir_wrong"](Population(6), DTREF)])[0])
    assert {w.code for w in report.warnings} == {"nir_invalid"}
    assert payers.drafts[0].subject.nir is None
    assert payers.drafts[0].subject.own_key[3] == "first_name"


def test_the_report_names_no_person() -> None:
    population = Population(7)
    families = all_shapes(population, DTREF)
    text = Payers().read(written(families)[0]).model_dump_json()
    for family in families:
        for person in family.people:
            assert person.nir is None or person.nir not in text
            assert family.claim not in text
            assert family.matricule not in text
            assert person.birth_name not in text
            assert person.born.isoformat() not in text


def test_leading_zeros_survive() -> None:
    _, household = read("overseas")
    assert household.matricule.startswith("000")
    population = Population(8)
    family = population.family("", population.person(), address=("1", "DES LILAS", "01053", "01000", "BOURG"))
    source = BytesIO(written([family])[0])
    (household,) = READER.read(source, READER.examine(source, {}))
    assert (household.address.postal_code, household.address.insee_code) == ("01000", "01053")


def test_two_adults_with_one_nir_lose_it_both() -> None:
    population = Population(9)
    first, second = population.person(first_name="ZOÉ"), population.person("CJT", first_name="PAUL")
    second.nir = first.nir
    source = BytesIO(written([population.family("", first, second)])[0])
    (household,) = READER.read(source, READER.examine(source, {}))
    assert [adult.nir for adult in household.adults] == [None, None]
    assert [warning.code for warning in household.warnings] == ["nir_shared"]


def test_the_same_adult_twice_in_a_household_counts_once() -> None:
    population = Population(9)
    person = population.person(entered="1")
    report = Payers().read(written([population.family("", person, person)])[0])
    assert (report.adults, report.dropped, report.events) == (1, {"duplicate": 1}, {"NewRsaEntrant": 1})


def test_two_adults_that_nothing_tells_apart_are_rejected() -> None:
    population = Population(9)
    first = population.person(nir=None, first_name="DOMINIQUE", born=date(1980, 1, 1))
    second = population.person("CJT", nir=None, first_name="Dominique", born=date(1981, 1, 1))
    report = Payers().read(written([population.family("", first, second)])[0])
    assert [(r.reason, r.field) for r in report.rejects] == [("ambiguous_adults", "PRENOM")]


@pytest.mark.parametrize(
    ("fonorg", "numorg", "departement"),
    [
        ("CAF", "761", "76"),
        ("CAF", "011", "01"),
        ("CAF", "974", "974"),
        ("CAF", "201", "2A"),
        ("MSA", "033", "UNKNOWN"),
    ],
)
def test_a_caf_tells_its_departement_and_an_msa_does_not(fonorg: str, numorg: str, departement: str) -> None:
    assert departement_of(fonorg, numorg) == departement


def test_reasons_of_several_groups_or_without_a_row_are_other() -> None:
    assert reason_group("PAYMENT_SUSPENDED", ("01", "05")) == "RESOURCES"
    assert reason_group("PAYMENT_SUSPENDED", ("01", "06")) == "OTHER"
    assert reason_group("PAYMENT_SUSPENDED", ("ZZ",)) == "OTHER"
    assert reason_group("PAYMENT_SUSPENDED", ()) is None
    assert reason_group("OPEN", ("01",)) is None


@pytest.mark.parametrize("table", sorted(path.name for path in (FOLDER / "codes").glob("*.csv")))
def test_code_tables_lead_to_words_of_the_contract(table: str) -> None:
    words = models.EntitlementState if table == "etatdosrsa.csv" else models.EntitlementReason
    assert {row.ours for row in code_table(FOLDER / "codes" / table).rows} <= {word.value for word in words}


def test_the_samples_of_the_connector_are_read() -> None:
    for name, told in {
        "CG076.RSABEM.202602.xml": {"NewRsaEntrant": 2, "DepartmentTransferred": 1},
        "CG076.RSABEI.20260304.xml": {"NewRsaEntrant": 2},
    }.items():
        assert Payers().read((FOLDER / "samples" / name).read_bytes(), name).events == told


def test_a_couple_counts_two_adults_and_agrees_with_the_truth() -> None:
    data, lines = written([SHAPES["couple"](Population(10), DTREF)])
    assert_agrees(Payers().read(data), Oracle().read("M", DTREF, lines))
