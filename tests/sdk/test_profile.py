"""A CSV profile gives the same rows from the same values, and bytes that the partner's encoding can hold."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.sdk.profile import Profile, at, profile_of

INJECTION = json.loads((Path(__file__).parent / "vectors" / "csv_injection.json").read_text(encoding="utf-8"))


def profile(**more) -> Profile:
    columns = more.pop("columns", [{"header": "Nom", "from": ["a"]}, {"header": "Vide", "note": "dropped"}])
    return Profile.model_validate({"source": "invented", "actions": {"x": {"columns": columns}}, **more})


def cell(value, **column) -> str:
    layout = profile(columns=[{"header": "c", "from": ["v"], **column}], dates="%d/%m/%Y")
    return layout.row("x", {"v": value}).get("c", "")


def test_columns_stand_in_order_and_empty_ones_stay_empty():
    layout = profile()
    assert layout.render("x", [layout.row("x", {"a": "é"}), {}]) == "Nom;Vide\r\né;\r\n;\r\n".encode()


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (date(2026, 3, 2), {"format": "date"}, "02/03/2026"),
        ("2026-03-02", {"format": "date"}, "02/03/2026"),
        ("2020", {"format": "date"}, ""),
        (True, {"format": "yes_no"}, "oui"),
        (False, {"format": "yes_no"}, "non"),
        ("+33612345678", {"format": "phone"}, "0612345678"),
        (["+33612345678", "+32470123456"], {"format": "phone", "join": ","}, "0612345678,+32470123456"),
        (0, {}, "0"),
        ([], {}, ""),
        ("  a\r\nb\x00c ", {}, "a b c"),
        (date(2026, 3, 2), {}, "2026-03-02"),
    ],
)
def test_values_become_cells(value, column, text):
    assert cell(value, **column) == text


def test_first_source_with_a_value_counts():
    layout = profile(columns=[{"header": "c", "from": ["person.name", "person.birth_name"]}])
    assert layout.row("x", {"person": {"name": None, "birth_name": "B"}}) == {"c": "B"}


def test_paths_go_through_maps_and_lists():
    values = {"address": {"lines": ["one", "two"]}}
    assert [
        at(values, p) for p in ("address.lines.1", "address.lines.2", "address.x.y", "address.lines.x")
    ] == [
        "two",
        None,
        None,
        None,
    ]


def test_letters_that_cp1252_lacks_lose_their_accent_or_become_a_question_mark():
    layout = profile(encoding="cp1252")
    row = layout.row("x", {"a": "Œuvre Ştefan Łódź 漢"})
    assert row["Nom"] == "Œuvre Stefan ?ódz ?"
    assert layout.render("x", [row]).decode("cp1252").splitlines()[1] == "Œuvre Stefan ?ódz ?;"


@given(st.lists(st.text(max_size=20), max_size=4), st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]))
def test_what_is_written_reads_back(values, encoding):
    layout = profile(encoding=encoding)
    rows = [layout.row("x", {"a": value}) for value in values]
    data = layout.render("x", rows)
    read = list(csv.DictReader(io.StringIO(data.decode(encoding), newline=""), delimiter=";"))
    assert [line["Nom"] for line in read] == [row.get("Nom", "") for row in rows]
    assert data == layout.render("x", rows)


@pytest.mark.parametrize("value", INJECTION["must_survive_unchanged"] + ["+33 6", "-1+1", "=1+1", "@x"])
def test_machine_files_keep_values_as_they_are(value):
    assert cell(value) == value.strip()


def test_row_of_another_layout_is_not_cut_silently():
    with pytest.raises(ValueError, match="Autre"):
        profile().render("x", [{"Autre": "1"}])


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"actions": {"x": {"columns": [{"header": "a"}, {"header": "a"}]}}}, "stands twice"),
        ({"actions": {"x": {"columns": [{"header": "a", "format": "code"}]}}}, "go together"),
        ({"actions": {}, "colour": 1}, "colour"),
        ({"actions": {}, "encoding": "ebcdic"}, "encoding"),
    ],
)
def test_profile_that_does_not_hold_is_explained(tmp_path, document, says):
    with pytest.raises(ValueError, match=says):
        profile_of({"profile_table": {"source": "x", **document}}, tmp_path)


def test_inline_profile_is_used_instead_of_the_named_one(tmp_path):
    table = {"source": "x", "actions": {"x": {"columns": [{"header": "Mien", "from": ["a"]}]}}}
    assert profile_of({"profile": "none", "profile_table": table}, tmp_path).row("x", {"a": 1}) == {
        "Mien": "1"
    }
