"""The reader against the generator's own truth: every shape, every way to write a file down, month after month."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.dev.generate.cnaf import Oracle, Paper, Population
from hub.dev.generate.cnaf_months import Town
from hub.dev.generate.cnaf_shapes import SHAPES, all_shapes, mixed
from tests.connectors.caf.running import Payers, assert_agrees, written

DTREF = date(2026, 2, 28)
PAPERS = {
    "windows-1252": Paper(),
    "utf-8": Paper("utf-8", "UTF-8"),
    "no declaration": Paper("utf-8", None),
    "mislabelled": Paper("utf-8", "windows-1252"),
    "byte order mark": Paper("utf-8", "utf-8", bom=True),
    "byte order mark, mislabelled": Paper("utf-8", "Windows-1252", bom=True),
    "carriage returns": Paper(newline="\r\n"),
    "one line": Paper(newline="", indent=""),
    "prefix": Paper("utf-8", "UTF-8", prefix="cnaf"),
    "comments": Paper(comments=True),
}


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS.keys())
def test_every_shape_is_read_as_it_was_meant_however_it_is_written(paper: Paper) -> None:
    data, lines = written(all_shapes(Population(1), DTREF), paper=paper)
    assert_agrees(Payers().read(data), Oracle().read("M", DTREF, lines))


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("without_start",)])
def test_a_shape_harms_no_neighbour(name: str) -> None:
    population = Population(2)
    families = [
        SHAPES["top"](population, DTREF),
        SHAPES[name](population, DTREF),
        SHAPES["top"](population, DTREF),
    ]
    data, lines = written(families)
    assert_agrees(Payers().read(data), Oracle().read("M", DTREF, lines))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), paper=st.sampled_from(list(PAPERS)), flux=st.sampled_from("MI"))
def test_any_mixture_of_shapes_is_read_as_it_was_meant(seed: int, paper: str, flux: str) -> None:
    families = list(mixed(Population(seed), DTREF, 40, ordinary=0.3))
    data, lines = written(families, flux, paper=PAPERS[paper])
    assert_agrees(Payers().read(data), Oracle().read(flux, DTREF, lines))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_months_and_days_in_sequence_lead_to_the_events_that_were_meant(seed: int) -> None:
    population = Population(seed)
    town = Town(population, list(mixed(population, DTREF, 30, ordinary=0.8)))
    payers, oracle = Payers(), Oracle()
    for flux, dtref in (
        ("M", DTREF),
        ("I", date(2026, 3, 3)),
        ("I", date(2026, 3, 10)),
        ("M", date(2026, 3, 31)),
        ("I", date(2026, 4, 2)),
        ("M", date(2026, 4, 30)),
        ("M", date(2026, 5, 31)),
    ):
        touched = town.families if dtref == DTREF else town.happen(dtref, 0.3)
        data, lines = written(town.families if flux == "M" else touched, flux, dtref)
        assert_agrees(payers.read(data), oracle.read(flux, dtref, lines))


def test_the_same_file_again_leads_to_nothing() -> None:
    population = Population(3)
    data, _ = written(list(mixed(population, DTREF, 60, ordinary=0.5)))
    payers = Payers()
    first = payers.read(data)
    again = payers.read(data)
    assert first.events
    assert again.events == {}
    assert (again.adults, again.rejects) == (first.adults, first.rejects)
