"""A profile keeps what is known now; what only looks different is no change, and nothing is emptied."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.people import normal
from hub.people.profile import Profile, Update, new_profile, person_block, update
from hub.sdk.inbound import Address, Subject

NOW = datetime(2026, 4, 1, 8, 0, tzinfo=UTC)
ANNA = Subject(
    birth_name="GARÇON",
    name="D'Essai",
    first_names=("Maëlle", "Anne"),
    birth_date="1985-07-14",
    sex="F",
    phones=("02 35 00 00 00", "06 00 00 00 01"),
    email="maelle@exemple.invalid",
    address=Address(("Bât. A", "1 rue de l'Église"), "76000", "76540", "Rouen"),
)
KNOWN = new_profile(ANNA, NOW)


def later(subject: Subject, record: str = "ContactChanged", days: int = 1) -> Update:
    return update(KNOWN, subject, record, NOW + timedelta(days=days))


def test_a_new_persons_profile_is_what_its_first_item_says() -> None:
    assert KNOWN.birth_name == "GARÇON"
    assert KNOWN.phones == ("+33600000001", "+33235000000")
    assert KNOWN.insee_code == "76540"
    assert set(KNOWN.since.values()) == {NOW.isoformat()}


def test_a_profile_survives_its_bytes() -> None:
    assert Profile.decode(KNOWN.encode()) == KNOWN
    assert Profile.decode(Profile().encode()) == Profile()


@pytest.mark.parametrize(
    "same",
    [
        {"birth_name": "garcon", "first_names": ("MAELLE", "ANNE")},
        {"phones": ("+33 6 00 00 00 01",)},
        {"phones": ("600000001", "0235000000")},
        {"phones": ("0033600000001",)},
        {"email": " Maelle@EXEMPLE.invalid "},
        {"address": Address(("BAT A 1 RUE DE L EGLISE",), "76000", None, "ROUEN CEDEX")},
        {"name": None, "email": None, "phones": (), "address": None, "sex": None},
        {"email": "  ", "phones": ("",), "address": Address()},
    ],
)
def test_what_only_looks_different_changes_nothing(same: dict[str, object]) -> None:
    for record in ("ContactChanged", "PersonCorrected", "NewRsaEntrant"):
        found = later(replace(ANNA, **same), record)
        assert (found.profile, found.changed) == (KNOWN, ())


def test_a_new_address_changes_the_channel_address_only() -> None:
    moved = Address(("2 rue Neuve",), "76100", "76540", "Rouen")
    found = later(replace(ANNA, address=moved))
    assert (found.profile.address, found.channels) == (moved, ("ADDRESS",))


def test_another_commune_code_with_the_same_name_is_no_move() -> None:
    coded = replace(ANNA.address, insee_code="76541")
    assert later(replace(ANNA, address=coded)).changed == ()


def test_a_new_mobile_goes_first_and_a_new_landline_after_mobiles() -> None:
    assert later(Subject(phones=("0611111111",))).profile.phones == (
        "+33611111111",
        "+33600000001",
        "+33235000000",
    )
    assert later(Subject(phones=("0235111111",))).profile.phones == (
        "+33600000001",
        "+33235111111",
        "+33235000000",
    )


def test_at_most_four_phones_are_kept() -> None:
    found = later(Subject(phones=tuple(f"07000000{n:02d}" for n in range(6))))
    assert found.profile.phones == tuple(f"+337000000{n:02d}" for n in range(4))


def test_only_records_that_state_a_field_anew_overwrite_it() -> None:
    said = replace(ANNA, birth_name="Autre", email="autre@exemple.invalid")
    assert later(said, "OrientationDecided").changed == ()
    assert later(said, "ContactChanged").changed == ("email",)
    assert later(said, "PersonCorrected").changed == ("birth_name",)
    assert set(later(said, "NewRsaEntrant").changed) == {"birth_name", "email"}


def test_any_record_fills_what_is_empty() -> None:
    bare = replace(ANNA, phones=(), email=None, address=None, sex=None, name=None)
    known = new_profile(bare, NOW)
    found = update(known, ANNA, "MeasureRequested", NOW - timedelta(days=30))
    assert set(found.changed) == {"phones", "email", "address", "sex", "name"}


def test_an_older_item_does_not_overwrite_a_newer_value() -> None:
    said = replace(ANNA, email="autre@exemple.invalid")
    assert later(said, days=-1).changed == ()
    assert later(said, days=0).changed == ("email",)


def test_another_birth_date_is_proposed_and_only_the_reviewer_changes_it() -> None:
    said = Subject(birth_date="1985-07-15", birth_day_known=False)
    for record in ("PersonCorrected", "NewRsaEntrant", "ContactChanged"):
        found = later(said, record)
        assert (found.profile, found.changed, found.proposed) == (KNOWN, (), ("birth_date",))
    decided = update(KNOWN, said, "PersonCorrected", NOW + timedelta(days=1), reviewed=True)
    assert (decided.profile.birth_date, decided.profile.birth_day_known) == ("1985-07-15", False)
    assert decided.proposed == ()


def test_a_usual_name_that_is_the_birth_name_is_no_name() -> None:
    assert new_profile(replace(ANNA, name="Garcon"), NOW).name is None


def test_the_person_block_has_exactly_the_fields_of_its_schema() -> None:
    schema = json.loads(Path("schemas/common/PersonBlock.avsc").read_text())
    address = json.loads(Path("schemas/common/Address.avsc").read_text())
    block = person_block(KNOWN)
    assert list(block) == [field["name"] for field in schema["fields"]]
    assert list(block["address"]) == [field["name"] for field in address["fields"]]
    assert person_block(replace(KNOWN, address=None))["address"] is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("06.12.34.56.78", "+33612345678"),
        ("612345678", "+33612345678"),
        ("+33 (0)6 12 34 56 78", "+33612345678"),
        ("0692123456", "+262692123456"),
        ("0690123456", "+590690123456"),
        ("+32 470 12 34 56", "+32470123456"),
        ("3615", "3615"),
    ],
)
def test_phones_are_written_as_e164(written: str, expected: str) -> None:
    assert normal.phone(written) == expected
    assert normal.phone(normal.phone(written)) == expected


@given(st.text(st.characters(max_codepoint=0x17F)))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert normal.letters(normal.letters(text)) == normal.letters(text)
    assert normal.words(normal.words(text)) == normal.words(text)
    assert normal.letters(text.upper()) == normal.letters(text.lower())


def test_names_are_compared_without_accents_ligatures_and_punctuation() -> None:
    assert normal.letters("D'ŒUVRÉ-Été") == normal.letters("d oeuvre ete") == "doeuvreete"
    assert normal.commune("ST-ÉTIENNE-DU-ROUVRAY CEDEX 1") == "saint etienne du rouvray"
