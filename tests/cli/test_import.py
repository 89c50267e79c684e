"""`hub import … --dry-run`: one JSON object, exit codes, and nothing written or started."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.dev.generate.cnaf import Paper, Population, write_file
from hub.dev.generate.cnaf_shapes import all_shapes

SAMPLES = Path(__file__).parents[2] / "connectors" / "caf" / "samples"
MONTHLY = SAMPLES / "CG076.RSABEM.202602.xml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HUB_DATABASE_URL", raising=False)
    return tmp_path / "hub"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments), "--dry-run"])


def test_a_file_gives_one_json_object_with_what_it_would_lead_to(home: Path) -> None:
    result = run("caf", MONTHLY, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert set(report) == {
        "file", "sha256", "territory", "payers", "households", "adults", "dropped", "events", "items", "rejects", "warnings", "totals",
    }  # fmt: skip
    assert report["territory"] == "76"
    assert report["payers"] == [
        {"fonorg": "CAF", "numorg": "761", "baseline": True, "previous_dtref": None},
        {"fonorg": "MSA", "numorg": "033", "baseline": True, "previous_dtref": None},
    ]
    assert (report["households"], report["adults"]) == (8, 9)
    assert report["events"] == {"DepartmentTransferred": 1, "NewRsaEntrant": 2}
    assert report["items"][0] == {
        "line": 4,
        "household": 1,
        "record": "NewRsaEntrant",
        "rules": ["FG", "TOP"],
        "fields": ["information_received_on", "claim_on", "payer", "role", "rules"],
    }
    assert report["totals"] == {"declared": 8, "declared_anomalies": 0, "read": 8}


def test_nothing_is_written_or_started(home: Path) -> None:
    result = run("caf", MONTHLY)
    assert result.exit_code == 0
    assert "compared with nothing, read by the default rules" in result.stderr
    assert "nothing written" in result.stderr
    assert not home.exists()


def test_rejects_do_not_change_the_exit_code(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mois.xml"
    with file.open("wb") as out:
        write_file(
            out, all_shapes(Population(1), date(2026, 2, 28)), "M", date(2026, 2, 28), Paper(trailer_off_by=1)
        )
    result = run("caf", file, "--json", "--territory", "99")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert len(report["rejects"]) >= 30
    assert report["territory"] == "99"
    assert "totals_mismatch" in {warning["code"] for warning in report["warnings"]}
    table = run("caf", file)
    assert table.exit_code == 0
    assert "ETATDOSRSA" in table.stdout


def test_a_file_refused_as_a_whole_says_why_and_exits_1(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mois.xml"
    file.write_bytes(MONTHLY.read_bytes().replace(b"<Racine>", b"<!DOCTYPE a><Racine>"))
    result = run("caf", file, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["refused"] == {
        "code": "doctype",
        "message": "the file has a document type or entity declaration; CNAF files have none",
        "line": 2,
    }
    assert "mois.xml, line 2: the whole file is refused (doctype)" in result.stderr


def test_strict_totals_and_accept_truncated_are_asked_for(home: Path, tmp_path: Path) -> None:
    whole = MONTHLY.read_bytes()
    wrong, cut = tmp_path / "faux.xml", tmp_path / "coupe.xml"
    wrong.write_bytes(whole.replace(b"00000008", b"00000009"))
    cut.write_bytes(whole[: whole.rindex(b"<TransmissionFlux>")])
    assert run("caf", wrong).exit_code == 0
    assert run("caf", wrong, "--strict-totals").exit_code == 1
    assert run("caf", cut).exit_code == 1
    assert run("caf", cut, "--accept-truncated").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("nobody", MONTHLY),
        ("caf",),
        ("caf", MONTHLY, "--received-on", "28/02/2026"),
        ("caf", MONTHLY, "--flow", "x"),
    ],
)
def test_a_wrong_command_line_exits_2(home: Path, arguments: tuple[object, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_file_that_is_not_there_exits_1(home: Path, tmp_path: Path) -> None:
    result = run("caf", tmp_path / "nulle-part.xml")
    assert result.exit_code == 1
    assert "nulle-part.xml: No such file" in result.stderr
