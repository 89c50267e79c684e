"""The example territory holds together, and its tables read both ways."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hub.log.registry import FileRegistry
from hub.rights.configuration import Configuration, Partner, combine, doubts
from hub.rights.files import load_partners, load_territory
from hub.rights.route import table
from hub.rights.settings import settings_problems
from hub.sdk.manifest import discover

FOLDER = Path(__file__).resolve().parents[2] / "territories" / "76"
ON = date(2026, 4, 15)

#: The decided list of measure types.
TYPES = [
    "aci",
    "ei",
    "ai",
    "etti",
    "geiq",
    "cdie",
    "pmsmp",
    "clause_insertion",
    "mediation_active",
    "accompagnement_independant",
    "mobilite",
    "garde_enfant",
    "ecoute_psychologique",
    "cumul_rsa_salaire",
    "prime_reprise",
]


@pytest.fixture(scope="module")
def world() -> Configuration:
    return combine(combine(None, load_territory(FOLDER)), load_partners(FOLDER / "partners.example.toml"))


def test_the_examples_hold_and_leave_no_doubt_today(world: Configuration) -> None:
    assert doubts(world, ON) == []


def test_the_example_partners_have_the_settings_that_their_connectors_need(world: Configuration) -> None:
    manifests = {name: c.manifest for name, c in discover(FOLDER.parents[1] / "connectors").items()}
    known = tuple(partner for partner in world.partners if partner.connector in manifests)
    assert known
    assert settings_problems(known, manifests) == []


def test_a_partner_may_set_its_own_times_and_a_wrong_one_is_named(world: Configuration) -> None:
    manifests = {name: c.manifest for name, c in discover(FOLDER.parents[1] / "connectors").items()}
    folder, structure = (world.partner(name) for name in ("p7603", "p7611"))

    def problems(partner: Partner, **more: object) -> list[str]:
        changed = partner.model_copy(update={"settings": {**partner.settings, **more}})
        return settings_problems((changed,), manifests)

    assert problems(folder, window="30 s", deadline=20) == []
    assert problems(structure, poll_every="30 s", rate=2.5, concurrency=1) == []
    assert "settings.window" in problems(folder, window="30 seconds")[0]
    assert "settings.poll_every" in problems(structure, poll_every="0 s")[0]
    assert "settings.window" in problems(structure, window="30 s")[0]
    assert "settings.poll_every" in problems(folder, poll_every="30 s")[0]


def test_every_measure_type_is_there_and_only_listening_is_sensitive(world: Configuration) -> None:
    types = world.territory.measure_types
    assert [row.code for row in types] == TYPES
    assert [row.code for row in types if row.sensitive] == ["ecoute_psychologique"]
    assert [row.code for row in types if row.irreversible] == ["cumul_rsa_salaire", "prime_reprise"]
    assert [row.code for row in types if "france_travail" in row.may_be_sent_to] == ["pmsmp"]


def test_the_types_in_clear_are_those_of_the_schema(world: Configuration) -> None:
    definition = FileRegistry(locked=False).get("MeasureRequested").definition
    field = next(field for field in definition["fields"] if field["name"] == "type")
    symbols = set(field["type"][1]["symbols"]) - {"UNKNOWN"}
    assert symbols == {row.code for row in world.territory.measure_types if not row.sensitive}


def test_the_crosswalk_reads_both_ways_and_is_not_crossed(world: Configuration) -> None:
    rows = world.territory.codes["crosswalk"]
    assert {row["france_travail"]: (row["casf"], row["webrsa"]) for row in rows} == {
        "PED": ("pro", "EMPLOI"),
        "PSP": ("socio_pro", "SOCIOPRO"),
        "PSO": ("social", "SOCIAL"),
    }
    for column in ("casf", "france_travail", "webrsa"):
        assert len({row[column] for row in rows}) == len(rows)


def test_code_tables_are_keyed_by_their_first_column(world: Configuration) -> None:
    codes = world.territory.codes
    assert codes["actions"]["CONV-2026-014"]["measure_type"] == "mobilite"
    assert codes["structures"]["5"]["partner"] == "p7603"
    assert codes["measure_types"]["aci"]["expiry_days"] == 60
    assert codes["organisms"]["ML"]["kind"] == "mission_locale"


def test_every_action_goes_to_somebody_who_may_be_asked_for_it(world: Configuration) -> None:
    for action in world.territory.actions:
        row = world.territory.measure_type(action.measure_type, ON)
        assert row is not None
        assert world.kind_of(action.partner) in row.provider_kinds


def test_masters_are_kinds_that_may_emit_the_record(world: Configuration) -> None:
    for record, names in world.territory.masters.items():
        assert set(names) <= set(table().records[record].emit), record


def test_partner_ids_say_nothing_about_who_they_are(world: Configuration) -> None:
    for partner in world.partners:
        assert partner.id[0] == "p"
        assert partner.id[1:].isdigit()


def test_the_listening_place_alone_has_an_article_9_basis(world: Configuration) -> None:
    assert [a.organisation for a in world.agreements if a.article9] == ["o7614"]
