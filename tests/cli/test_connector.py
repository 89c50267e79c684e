"""`hub connector` shows what a connector would do, without Kafka or database."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hub.cli.connector import app
from hub.cli.preview import FOLDER

SAMPLE = str(FOLDER / "structure" / "samples" / "MeasureRequested.event.json")


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_list_names_what_each_reads_and_writes():
    result = run("list", "--json")
    structure = next(row for row in json.loads(result.stdout) if row["name"] == "structure")
    assert structure["reads"] == ["MeasureAnswered"]
    assert "MeasureRequested" in structure["writes"]
    assert structure["unknown_outcome"] == "key"
    assert "structure" in run("list").stdout


def test_try_shows_view_and_message():
    shown = json.loads(run("try", "structure", SAMPLE, "--partner", "structure", "--json").stdout)
    assert shown["record"] == "MeasureRequested"
    assert "birth_date" not in shown["view"]["person"]
    assert shown["message"]["body"]["mesure"] == "mobilite"


def test_try_narrows_by_the_partners_kind():
    shown = json.loads(run("try", "structure", SAMPLE, "--partner", "employer", "--json").stdout)
    assert "reason_code" not in shown["view"]
    assert "motif_code" not in shown["message"]["body"]


def test_try_reads_a_cloudevent(tmp_path):
    event = json.loads((FOLDER / "structure" / "samples" / "MeasureRequested.event.json").read_text())
    sample = tmp_path / "event.json"
    sample.write_text(json.dumps({"type": "fr.spie.measures.MeasureRequested.v1", "data": event["fields"]}))
    shown = json.loads(run("try", "structure", str(sample), "--json").stdout)
    assert shown["message"]["body"]["mesure"] == "mobilite"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"record": "Nothing"}, "there is no record Nothing"),
        ({"record": "IdentityLinked"}, "gets nothing of IdentityLinked"),
        ({"fields": {"territory": 76}}, "territory: "),
        ({"record": None, "type": "x"}, "a sample is"),
    ],
)
def test_sample_that_does_not_hold_is_explained(tmp_path, change, says):
    event = json.loads((FOLDER / "structure" / "samples" / "MeasureRequested.event.json").read_text())
    sample = tmp_path / "event.json"
    sample.write_text(json.dumps(event | change))
    result = run("try", "structure", str(sample))
    assert result.exit_code == 1
    assert says in result.stderr


def test_unknown_connector_and_kind_are_named():
    assert "connectors are" in run("try", "nobody", SAMPLE).stderr
    assert "kinds are" in run("try", "structure", SAMPLE, "--partner", "nobody").stderr
