"""Code tables go both ways, by day, and an unmapped code is UNKNOWN with what the partner wrote beside it."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.sdk.codes import UNKNOWN, Code, CodeTable, Row, code_table


def table(tmp_path, text: str) -> CodeTable:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    code_table.cache_clear()
    return code_table(path)


GOOD = """# source: invented for this test
theirs,ours,label,valid_from,valid_to,note
A,OLD,first,2020-01-01,2023-12-31,x
A,NEW,second,2024-01-01,,y
B,NEW,,,,
"""


def test_both_ways_by_day(tmp_path):
    codes = table(tmp_path, GOOD)
    assert codes.to_hub("A", date(2023, 12, 31)) == Code("OLD", "A")
    assert codes.to_hub("A", date(2024, 1, 1)) == Code("NEW", "A")
    assert codes.to_partner("NEW", date(2024, 1, 1)) == "A"
    assert codes.to_partner("NEW", date(2020, 1, 1)) == "B"
    assert codes.to_partner("OLD", date(2024, 1, 1)) is None
    assert codes.rows[0].more == {"note": "x"}
    assert codes.source == "invented for this test"


@given(st.text())
def test_unknown_code_is_kept_raw(raw):
    codes = CodeTable("t", "invented", (Row("A", "ONE"),))
    code = codes.to_hub(raw)
    assert code.raw == raw
    assert code.known == (raw.strip() == "A")
    assert code.ours in ("ONE", UNKNOWN)


def test_nothing_is_guessed_towards_the_partner():
    assert CodeTable("t", "invented", (Row("A", "ONE"),)).to_partner("TWO") is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("theirs,ours\nA,B\n", "source"),
        ("# source: x\ntheirs,ours\nA\n", ":3"),
        ("# source: x\ntheirs,ours\nA,B,C\n", ":3"),
        ("# source: x\ntheirs,ours\nA,\n", ":3"),
        ("# source: x\ntheirs,other\nA,B\n", ":3"),
        ("# source: x\ntheirs,ours,valid_from\nA,B,soon\n", ":3"),
        ("# source: x\ntheirs,ours\nA,B\nA,C\n", "both 'B' and 'C'"),
    ],
)
def test_table_that_does_not_hold_says_where(tmp_path, text, where):
    with pytest.raises(ValueError, match="table") as error:
        table(tmp_path, text)
    assert where in str(error.value)
