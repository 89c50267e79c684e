"""`hub schema check|build|show`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli.schema import app
from hub.log import generate
from hub.log.registry import root
from hub.rights import agreement

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the contracts that the command works on."""
    copy = shutil.copytree(root(), tmp_path / "schemas")
    monkeypatch.setenv("HUB_SCHEMAS", str(copy))
    return copy


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place for the models, so that nothing of the checkout is written."""
    path = tmp_path / "models.py"
    shutil.copy(generate.OUTPUT, path)
    monkeypatch.setattr(generate, "OUTPUT", path)
    return path


def test_check_is_silent_about_good_contracts() -> None:
    result = runner.invoke(app, ["check", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"ok": True, "schemas": 10, "problems": []}


def test_check_names_what_is_wrong(folder: Path) -> None:
    path = folder / "measures/MeasureAnswered.v1.avsc"
    path.write_text(path.read_text().replace('"places_left"', '"placesLeft"'))
    result = runner.invoke(app, ["check", "--json"])
    assert result.exit_code == 1
    problems = json.loads(result.stdout)["problems"]
    assert any("placesLeft: names are" in text for text in problems)
    assert any("hub schema build --lock" in text for text in problems)
    assert any("models.py" in text for text in problems)


def test_check_names_a_damaged_file(folder: Path) -> None:
    (folder / "common/Source.avsc").write_text("{")
    result = runner.invoke(app, ["check"])
    assert result.exit_code == 1
    assert "Source.avsc: not JSON" in result.stderr


def test_build_writes_models_and_lock_and_then_nothing(folder: Path, output: Path) -> None:
    path = folder / "measures/MeasureAnswered.v1.avsc"
    path.write_text(path.read_text().replace('"places_left"', '"places_free"'))
    assert runner.invoke(app, ["build", "--check"]).exit_code == 1
    result = runner.invoke(app, ["build", "--lock"])
    assert (result.exit_code, result.stderr.split("\n")[:2]) == (
        0,
        ["lock.json written", "models.py written"],
    )
    assert "places_free" in output.read_text()
    assert runner.invoke(app, ["build", "--check"]).exit_code == 0
    assert "current" in runner.invoke(app, ["build", "--lock"]).stderr
    assert runner.invoke(app, ["check"]).exit_code == 0


def test_show_tells_fields_tags_and_docs() -> None:
    result = runner.invoke(app, ["show", "MeasureRequested", "--json"])
    shown = json.loads(result.stdout)
    fields = {field["name"]: field for field in shown["fields"]}
    assert shown["type"] == "fr.spie.measures.MeasureRequested.v1"
    assert shown["matter"] == ["measure_id"]
    assert fields["sensitive.sensitive_type"]["tags"] == ["HEALTH"]
    assert fields["expires_on"]["doc"]
    text = runner.invoke(app, ["show", "MeasureRequested"]).stdout
    assert "sensitive.sensitive_type" in text
    assert "HEALTH" in text


def test_show_avro_is_the_registered_form() -> None:
    shown = json.loads(runner.invoke(app, ["show", "NewRsaEntrant", "--avro"]).stdout)
    assert shown["name"] == "NewRsaEntrant"
    person = next(field for field in shown["fields"] if field["name"] == "person")
    assert person["spie.block"]["name"] == "PersonBlock"


@pytest.mark.parametrize("kind", agreement.KINDS)
def test_show_as_a_kind_shows_what_its_default_covers_and_nothing_else(kind: agreement.Kind) -> None:
    for record, default in agreement.defaults(kind).items():
        if record not in ("NewRsaEntrant", "MeasureRequested", "OrientationDecided", "ReferentDesignated"):
            continue
        shown = json.loads(runner.invoke(app, ["show", record, "--as", kind, "--json"]).stdout)
        names = {field["name"] for field in shown["fields"]}
        for name in names:
            holder = any(other.startswith(f"{name}.") for other in names)
            assert holder or agreement.covers(default.fields, name)
        assert set(default.fields) <= names, (
            f"hub/rights/defaults/{kind}.toml names a field that {record} has not"
        )
        assert shown["purpose"] == default.purpose


def test_show_as_keeps_health_apart() -> None:
    shown = json.loads(runner.invoke(app, ["show", "MeasureRequested", "--as", "structure", "--json"]).stdout)
    assert "sensitive.sensitive_type" not in {field["name"] for field in shown["fields"]}
    assert "sensitive.sensitive_type" in {field["name"] for field in shown["health"]}


def test_show_as_a_kind_that_sees_nothing_is_refused() -> None:
    result = runner.invoke(app, ["show", "IdentityLinked", "--as", "structure"])
    assert result.exit_code == 4
    assert "hub/rights/defaults/structure.toml does not name it" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["NoRecord"], "known records: "), (["NewRsaEntrant", "--as", "bank"], "kinds are caf")],
)
def test_show_says_what_there_is_when_asked_for_what_there_is_not(arguments: list[str], said: str) -> None:
    result = runner.invoke(app, ["show", *arguments])
    assert result.exit_code == 1
    assert said in result.stderr
