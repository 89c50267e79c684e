"""One document per territory: what does not hold is refused by file and key, and what changes is told."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from hub.rights.agreement import overlaps
from hub.rights.changes import Change, diff
from hub.rights.configuration import (
    Configuration,
    ConfigurationError,
    Organisation,
    Partner,
    Partners,
    combine,
    doubts,
)
from hub.rights.files import load_partners, load_territory
from hub.rights.territory import PilotArea, measure_refusal
from tests.rights.world import TODAY, agreement, configuration, invented_siret, measure, territory

WORLD = configuration()
NEW = Organisation(id="o-new", siret=invented_siret(50), kind="structure", name="Nouvelle")


def problems(build: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        build()  # type: ignore[operator]
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ the document


def test_a_configuration_survives_its_json_with_its_digest() -> None:
    again = Configuration.model_validate(json.loads(json.dumps(WORLD.document())))
    assert again == WORLD
    assert again.digest() == WORLD.digest()


def test_a_changed_copy_does_not_keep_what_the_old_one_computed() -> None:
    assert WORLD.partner("cd") is not None
    copied = WORLD.model_copy(update={"partners": ()})
    assert copied.partner("cd") is None
    assert WORLD.partner("cd") is not None


def test_a_territory_needs_no_partner() -> None:
    made = combine(None, territory())
    assert (made.territory.id, made.partners) == ("76", ())


def test_partners_come_after_their_territory() -> None:
    file = Partners(territory="76", organisations=(NEW,))
    assert "hub territory apply" in problems(lambda: combine(None, file))
    assert "hub territory apply" in problems(lambda: combine(WORLD, Partners(territory="79")))


def test_entries_are_added_or_replaced_by_id_and_none_is_taken_away() -> None:
    renamed = WORLD.organisations[0].model_copy(update={"name": "Autre nom"})
    made = combine(WORLD, Partners(territory="76", organisations=(NEW, renamed)))
    assert len(made.organisations) == len(WORLD.organisations) + 1
    assert made.organisation(renamed.id).name == "Autre nom"
    assert made.partners == WORLD.partners


def test_a_new_territory_file_keeps_the_partners() -> None:
    made = combine(WORLD, territory(name="Autre nom"))
    assert (made.territory.name, made.partners) == ("Autre nom", WORLD.partners)


def test_applying_the_same_again_changes_nothing() -> None:
    made = combine(combine(WORLD, WORLD.territory), Partners(territory="76", partners=WORLD.partners))
    assert made.digest() == WORLD.digest()
    assert diff(WORLD, made) == []


def test_a_partner_id_is_never_used_again() -> None:
    gone = Partner(id="s1", organisation="o-s1", connector="nul", removed_on=TODAY)
    removed = combine(WORLD, Partners(territory="76", partners=(gone,)))
    back = Partners(territory="76", partners=(gone.model_copy(update={"removed_on": None}),))
    assert "s1: was removed" in problems(lambda: combine(removed, back))
    other = Partners(
        territory="76", partners=(gone.model_copy(update={"organisation": "o-s2", "removed_on": None}),)
    )
    assert "partner id of its own" in problems(lambda: combine(WORLD, other))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"partners": (Partner(id="p", organisation="o-none", connector="nul"),)}, "organisation 'o-none' is not declared"),
        ({"agreements": (agreement("cd", organisation="o-none"),)}, "organisation 'o-none' is not declared"),
        ({"agreements": (agreement("cd", records=("Rumour",)),)}, "a departement never receives Rumour"),
        (
            {"agreements": (agreement("s1", records=("NewRsaEntrant",)),)},
            "a structure never receives NewRsaEntrant",
        ),
        (
            {"agreements": (agreement("s1", narrow={"MeasureRequested": ("person.birth_date",)}),)},
            "narrow.MeasureRequested: 'person.birth_date' is not in the default of structure",
        ),
        ({"agreements": (agreement("cd"), agreement("cd", id="a-2"))}, "already covered by"),
        ({"agreements": (agreement("cd"), agreement("cd"))}, "a-cd stands twice"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        configuration(**changed)
    assert said in str(caught.value)


def test_an_agreement_has_an_end_after_its_start_and_narrows_what_it_names() -> None:
    with pytest.raises(ValueError, match="before start"):
        agreement("cd", end=date(2024, 1, 1))
    with pytest.raises(ValueError, match="narrow names"):
        agreement("cd", records=("ContactChanged",), narrow={"NewRsaEntrant": ("role",)})
    with pytest.raises(ValueError, match="end\n  Field required"):
        type(agreement("cd")).model_validate(agreement("cd").model_dump(exclude={"end"}))


def test_agreements_may_follow_each_other_without_a_gap() -> None:
    first = agreement("cd", id="a-1", end=date(2026, 4, 14))
    second = agreement("cd", id="a-2", start=date(2026, 4, 15))
    world = configuration(agreements=(first, second))
    assert world.agreement("cd", "NewRsaEntrant", date(2026, 4, 14)).id == "a-1"
    assert world.agreement("cd", "NewRsaEntrant", date(2026, 4, 15)).id == "a-2"
    later = agreement("cd", id="a-3", start=date(2026, 4, 14), end=date(2026, 4, 14))
    assert len(overlaps((first, second, later))) == len(later.records)


def test_a_secret_is_named_never_written() -> None:
    with pytest.raises(ValueError, match="where the secret is kept"):
        Partner(id="p", organisation="o", connector="nul", secrets={"key": "hunter2"})
    kept = Partner(id="p", organisation="o", connector="nul", secrets={"key": "env:HUB_KEY"})
    assert kept.secrets == {"key": "env:HUB_KEY"}


@pytest.mark.parametrize(
    "siret", ["99999900600004", "9999990060000", "99999900600003 ", "９９９９９９００６００００３"]
)
def test_a_siret_that_does_not_hold_is_refused(siret: str) -> None:
    with pytest.raises(ValueError, match="siret"):
        Organisation(id="o", siret=siret, kind="structure", name="X")


# ------------------------------------------------------------------------------------------------ differences


def test_a_difference_names_the_place_and_both_values() -> None:
    longer = agreement("cd", end=date(2028, 12, 31))
    made = combine(WORLD, Partners(territory="76", agreements=(longer,)))
    assert diff(WORLD, made) == [Change("agreements.a-cd.end", "2027-12-31", "2028-12-31")]
    assert str(diff(WORLD, made)[0]) == "~ agreements.a-cd.end: 2027-12-31 → 2028-12-31"


def test_an_inserted_row_is_one_place_not_a_shift_of_all_others() -> None:
    first = measure("aci", ("structure",))
    made = combine(WORLD, territory(measure_types=(first, *WORLD.territory.measure_types)))
    assert {change.path.rsplit(".", 1)[0] for change in diff(WORLD, made)} == {
        "territory.measure_types.aci@2025-01-01"
    }
    assert all(change.before is None for change in diff(WORLD, made))


def test_a_sealed_secret_is_masked_in_differences() -> None:
    partner = Partner(id="cd", organisation="o-cd", connector="nul", secrets={"key": "sealed:c2VjcmV0"})
    changes = diff(WORLD, combine(WORLD, Partners(territory="76", partners=(partner,))))
    assert [str(change) for change in changes] == ["+ partners.cd.secrets.key = sealed:…"]
    assert changes[0].shown() == {"path": "partners.cd.secrets.key", "before": None, "after": "sealed:…"}


def test_what_is_probably_not_meant_is_said() -> None:
    assert doubts(WORLD, TODAY) == []
    world = configuration(
        territory=territory(masters={"ContactChanged": ("caf", "nobody")}),
        agreements=(agreement("cd", end=date(2026, 4, 14)),),
    )
    said = "\n".join(doubts(world, TODAY))
    assert "masters.ContactChanged: 'nobody' is neither a kind" in said
    assert "partner ft: no agreement is in force on 2026-04-15" in said
    assert "partner caf" not in said
    assert "agreement a-cd: ended on 2026-04-14" in said


# ------------------------------------------------------------------------------------------------ territory


def test_pilot_areas_are_dated_and_a_territory_without_them_takes_part_as_a_whole() -> None:
    assert territory().pilot_area(None, TODAY) == "Seine-Maritime"
    areas = (
        PilotArea(name="Boucles", start=date(2021, 2, 1), end=date(2022, 12, 31), communes=("76540",)),
        PilotArea(name="Tout", start=date(2024, 1, 1), communes=("*",)),
    )
    place = territory(pilot_areas=areas).pilot_area
    assert place("76540", date(2021, 1, 31)) is None
    assert place("76540", date(2021, 2, 1)) == place("76540", date(2022, 12, 31)) == "Boucles"
    assert place("76540", date(2023, 6, 1)) is None
    assert place(None, date(2024, 1, 1)) == "Tout"


@pytest.mark.parametrize(
    ("type", "sensitive_type", "kind", "expected"),
    [
        ("mobilite", None, "structure", None),
        (None, "ecoute_psychologique", "structure", None),
        (None, None, "structure", "measure_type_missing"),
        ("mobilite", "ecoute_psychologique", "structure", "measure_type_twice"),
        ("ecoute_psychologique", None, "structure", "measure_type_is_sensitive"),
        (None, "mobilite", "structure", "measure_type_is_not_sensitive"),
        ("voyage", None, "structure", "measure_type_unknown"),
        ("mobilite", None, "employer", "addressee_kind_not_allowed"),
    ],
)
def test_a_measure_is_requested_under_the_type_that_the_table_gives_it(
    type: str | None, sensitive_type: str | None, kind: str, expected: str | None
) -> None:
    found = measure_refusal(
        territory(), type=type, sensitive_type=sensitive_type, addressee_kind=kind, on=TODAY
    )
    assert found == expected


def test_a_measure_type_is_valid_from_its_first_to_its_last_day() -> None:
    row = measure("aci", ("structure",)).model_copy(update={"valid_to": date(2026, 4, 15)})
    known = territory(measure_types=(row,))
    assert known.measure_type("aci", date(2026, 4, 15)) == row
    assert known.measure_type("aci", date(2026, 4, 16)) is None
    assert known.measure_type("aci", date(2024, 12, 31)) is None


# ------------------------------------------------------------------------------------------------ files

TERRITORY = """
id = "76"
name = "Essai"
main_payer = { fonorg = "CAF", numorg = "761" }
payers = [{ fonorg = "CAF", numorg = "761" }]
organisms = [{ code = "ML", label = "Mission locale", kind = "mission_locale" }]
"""
TYPES = (
    "# source: a test\n"
    "code,label,valid_from,valid_to,public,provider_kinds,sensitive,may_be_sent_to,irreversible,expiry_days,funding_line\n"
)


def folder(path: Path, text: str = TERRITORY, **tables: str) -> Path:
    (path / "territory.toml").write_text(text, encoding="utf-8")
    for name, table in tables.items():
        (path / f"{name}.csv").write_text(table, encoding="utf-8")
    return path


def test_a_folder_is_read_with_its_tables(tmp_path: Path) -> None:
    row = 'aci,"Chantier, atelier",2021-02-01,,rsa deld,structure,false,departement structure,false,60,\n'
    known = load_territory(folder(tmp_path, measure_types="﻿" + TYPES + row))
    assert known.measure_types[0].label == "Chantier, atelier"
    assert known.measure_types[0].public == ("rsa", "deld")
    assert known.measure_types[0].funding_line is None


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"text": TERRITORY + "surprise = 1\n"}, "territory.toml: surprise: Extra inputs are not permitted"),
        ({"text": TERRITORY.replace('"761" }\npayers', '"76" }\npayers')}, "territory.toml: main_payer.numorg: "),
        ({"text": TERRITORY.replace('numorg = "761" }]', 'numorg = "762" }]')}, "main_payer is not among the payers"),
        ({"text": "id = "}, "territory.toml: Invalid value"),
        (
            {"measure_types": TYPES + "aci,X,2021-02-01,,,structure,perhaps,structure,false,60,\n"},
            "measure_types.csv: line 3: sensitive: ",
        ),
        (
            {"measure_types": TYPES + "\n# note\naci,X,2021-02-30,,,structure,false,structure,false,60,\n"},
            "measure_types.csv: line 5: valid_from: ",
        ),
        ({"measure_types": TYPES + "aci,X\n"}, "measure_types.csv: line 3: 2 cells under 11 columns"),
        (
            {"measure_types": TYPES + "aci,X,2021-02-01,,,employer,false,structure,false,60,\n"},
            "provider_kinds ['employer'] must also be in may_be_sent_to",
        ),
        (
            {"structures": "webrsa_id,partner,siret,organism,label\n1,p,99999900600004,ML,X\n"},
            "structures.csv: line 2: siret: ",
        ),
        (
            {"structures": "webrsa_id,partner,siret,organism,label\n1,p,99999900600003,XX,X\n"},
            "structures.csv: webrsa_id 1: organism 'XX' is not in territory.toml",
        ),
        (
            {"actions": "convention,partner,measure_type,expiry_days,funding_line\nC-1,p,aci,30,\n"},
            "actions.csv: convention C-1: measure_type 'aci' is not in measure_types.csv",
        ),
        (
            {"crosswalk": "casf,france_travail,webrsa,label\npro,PED,EMPLOI,A\nsocial,PED,SOCIAL,B\n"},
            "crosswalk.csv: france_travail: each code must stand once",
        ),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_and_key(tmp_path: Path, tables: dict[str, str], said: str) -> None:
    text = tables.pop("text", TERRITORY) if "text" in tables else TERRITORY
    found = problems(
        lambda: load_territory(folder(tmp_path, text, **{k: v for k, v in tables.items() if k != "text"}))
    )
    assert said in found


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    assert "cannot be read" in problems(lambda: load_territory(tmp_path / "none"))


def test_a_partners_file_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "partners.toml"
    path.write_text(
        'territory = "76"\n[[partners]]\nid = "P 1"\norganisation = "o"\nconnector = "caf"\n', "utf-8"
    )
    assert f"{path}: partners.1.id: " in problems(lambda: load_partners(path))
