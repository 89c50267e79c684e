"""What every command shares: exit codes, one JSON object, messages on stderr."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
import typer

from hub.cli.output import Exit, emit, fail, reported, table


@dataclass(frozen=True)
class Seen:
    day: date
    place: Path


def test_json_output_is_one_value_with_dates_and_paths_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"seen": [Seen(date(2026, 11, 24), Path("/a/é"))], "names": {"b", "a"}})
    out = capsys.readouterr().out
    assert json.loads(out) == {"seen": [{"day": "2026-11-24", "place": "/a/é"}], "names": ["a", "b"]}
    assert "é" in out


def test_an_expected_exception_becomes_a_message_and_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended, reported(LookupError, code=Exit.REFUSED):
        raise KeyError("no such partner")
    assert ended.value.exit_code == 4
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err == "refused: 'no such partner'\n"


def test_an_unexpected_exception_goes_on() -> None:
    with pytest.raises(ValueError, match="odd"), reported(LookupError):
        raise ValueError("odd")


def test_failing_is_exit_code_one_unless_told_otherwise() -> None:
    assert fail("x").exit_code == 1
    assert fail("x", Exit.UNACCOUNTED).exit_code == 3


def test_table_shows_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table(("partner", "state"), [("[bold]x[/bold]", None)], title="lanes")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["lanes", "partner         state", "[bold]x[/bold]"]
