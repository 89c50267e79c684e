"""The page for a data-protection officer: everything that leaves is on it, and hundreds of structures stay one page."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hub.rights.configuration import Organisation, Partner, combine
from hub.rights.files import load_partners, load_territory
from hub.rights.matrix import as_text, matrix
from hub.rights.view import view_of
from hub.sdk.manifest import Release, discover
from tests.rights.world import PARTNERS, TODAY, agreement, configuration, invented_siret, manifest

FIELDS = [
    "person.birth_name",
    "person.phones",
    "measure_id",
    "type",
    "sensitive.sensitive_type",
    "channel",
    "answer",
]
SPEAKS = manifest(dict.fromkeys(("MeasureRequested", "ContactChanged", "MeasureAnswered"), FIELDS))
ROOT = Path(__file__).resolve().parents[2]


def test_the_matrix_is_exactly_the_views_in_force() -> None:
    world = configuration()
    found = matrix(world, {"nul": SPEAKS}, TODAY)
    assert {(line.partner, line.record) for line in found.lines} >= {
        ("s1", "MeasureRequested"),
        ("e1", "MeasureRequested"),
    }
    for line in found.lines:
        view = view_of(world, SPEAKS, line.partner, line.record, TODAY, protected=False)
        assert set(line.fields) == view.fields
        assert (line.why_not is None) == bool(view.fields)
        assert line.purpose
        assert line.legal_basis


def test_an_article_9_basis_is_named_where_a_health_field_leaves_and_nowhere_else() -> None:
    lines = matrix(configuration(), {"nul": SPEAKS}, TODAY).lines
    assert {(line.partner, line.record) for line in lines if line.article9} == {
        ("s1", "MeasureRequested"),
        ("s2", "MeasureRequested"),
    }
    assert all(("sensitive.sensitive_type" in line.fields) == (line.article9 is not None) for line in lines)


def test_what_has_no_agreement_that_day_is_said_not_left_out() -> None:
    found = matrix(configuration(), {"nul": SPEAKS}, date(2024, 1, 1))
    assert found.lines
    assert {line.why_not for line in found.lines} == {"no agreement in force"}
    assert "no agreement in force" in as_text(found)


def test_removed_partners_and_those_without_connector_are_not_recipients() -> None:
    gone = tuple(
        Partner(id=p, organisation=f"o-{p}", connector="nul" if p != "s2" else "other", removed_on=TODAY if p == "s1" else None)
        for p in PARTNERS
    )  # fmt: skip
    found = matrix(configuration(partners=gone), {"nul": SPEAKS}, TODAY)
    assert not {"s1", "s2"} & {line.partner for line in found.lines}


def test_released_identifiers_are_on_the_page() -> None:
    release = {"nir": Release(purpose="Find the person", legal_basis="Décret 2019-341")}
    speaks = SPEAKS.model_copy(update={"release": release})
    assert "| nir | caf, cd, e1, ft, ml, s1, s2 | Find the person | Décret 2019-341 |" in as_text(
        matrix(configuration(), {"nul": speaks}, TODAY)
    )


def test_three_hundred_structures_stand_under_one_heading() -> None:
    names = [f"x{n}" for n in range(300)]
    base = agreement("s1")
    world = configuration(
        organisations=tuple(
            Organisation(id=f"o-{x}", siret=invented_siret(100 + n), kind="structure", name=f"Structure {n}")
            for n, x in enumerate(names)
        ),
        partners=tuple(Partner(id=x, organisation=f"o-{x}", connector="nul") for x in names),
        agreements=tuple(base.model_copy(update={"id": f"a-{x}", "organisation": f"o-{x}"}) for x in names),
    )
    page = as_text(matrix(world, {"nul": SPEAKS}, TODAY))
    assert page.count("\n## ") == 1
    assert page.count("\n- Structure ") == 300
    assert page.count("| MeasureRequested |") == 1


def test_the_example_territory_fits_on_a_page() -> None:
    folder = ROOT / "territories" / "76"
    world = combine(combine(None, load_territory(folder)), load_partners(folder / "partners.example.toml"))
    manifests = {name: connector.manifest for name, connector in discover(ROOT / "connectors").items()}
    page = as_text(matrix(world, manifests, TODAY))
    assert len(page.splitlines()) < 80
    assert "p7614): CONV-SPIE-76-2025-014 until 2026-12-31" in page
