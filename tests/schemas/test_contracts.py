"""The contracts of this repository: house rules, samples, generated models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from hub.log import codec, generate, lint, models
from hub.log.registry import FileRegistry, current, root
from tests.log.test_codec import read, write

RECORDS = current().records()


def samples(record: str, kind: str) -> list[Any]:
    schema = current().get(record)
    path = root() / schema.family / f"{record}.v{schema.version}.{kind}.json"
    return json.loads(path.read_text(encoding="utf-8"))


VALID = [(record, value) for record in RECORDS for value in samples(record, "valid")]
INVALID = [(record, bad) for record in RECORDS for bad in samples(record, "invalid")]


def test_the_contracts_keep_the_house_rules() -> None:
    assert lint.check(FileRegistry(locked=False)) == []


def test_generated_models_are_current() -> None:
    assert generate.is_current(FileRegistry(locked=False), generate.OUTPUT), "run `hub schema build`"


@pytest.mark.parametrize(("record", "value"), VALID, ids=[record for record, _ in VALID])
def test_a_valid_sample_is_written_and_read(record: str, value: dict[str, Any]) -> None:
    model = models.RECORDS[record].model_validate_json(json.dumps(value))
    again = read(record, write(record, model.model_dump()))
    assert models.RECORDS[record].model_validate_json(msgspec.json.encode(again)) == model


@pytest.mark.parametrize(("record", "bad"), INVALID, ids=[f"{r}: {b['why']}" for r, b in INVALID])
def test_an_invalid_sample_is_refused_at_its_field_without_its_value(
    record: str, bad: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        models.RECORDS[record].model_validate_json(json.dumps(bad["value"]))
    places = [".".join(str(part) for part in error["loc"]) for error in caught.value.errors()]
    assert any(place == bad["field"] or place.startswith(f"{bad['field']}.") for place in places)
    assert "input_value" not in str(caught.value)


@pytest.mark.parametrize("record", RECORDS)
def test_samples_are_invented_people(record: str) -> None:
    """Names end in -TEST, phones are of the ranges that France keeps for fiction, mail goes to example.org."""
    bad = [entry["value"] for entry in samples(record, "invalid")]
    for value in [*samples(record, "valid"), *bad]:
        person = value["person"]
        assert person["birth_name"].endswith("-TEST")
        assert all(phone.startswith(("+3363998", "+3319900")) for phone in person["phones"])
        assert person["email"] is None or person["email"].endswith("@example.org")


def test_models_do_not_offer_the_reserved_symbol() -> None:
    symbols = {
        symbol
        for name in ("Sex", "EntrantRole", "MeasureType", "Decider")
        for symbol in getattr(models, name)
    }
    assert "UNKNOWN" not in symbols
    assert "mobilite" in symbols


def test_models_are_frozen_strict_and_described() -> None:
    for model in models.RECORDS.values():
        assert model.model_config["frozen"]
        assert model.model_config["hide_input_in_errors"]
        assert all(field.description for field in model.model_fields.values())


def test_a_sensitive_kind_has_no_place_among_the_clear_ones() -> None:
    assert "ecoute_psychologique" not in list(models.MeasureType)


# ------------------------------------------------------------------ each house rule finds its breach
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(root(), tmp_path / "schemas")


def findings(folder: Path) -> str:
    return "\n".join(lint.check(FileRegistry(folder, locked=False)))


BREACHES = [
    ("entrants/Payer.avsc", ', "doc": "CNAF NUMORG, 3 digits as text."', "", "payer.numorg: has no doc"),
    ("entrants/Payer.avsc", '"numorg"', '"NumOrg"', "lower_case_with_underscores"),
    ("entrants/EntrantRole.avsc", '"default": "UNKNOWN"', '"default": "DEM"', "must end with UNKNOWN"),
    ("common/PersonBlock.avsc", '["PII"]', '["SECRET"]', "unknown tags SECRET"),
    ("common/Source.avsc", '["null", "long"], "default": null', '["null", "long"]', "has the default null"),
    (
        "common/Source.avsc",
        '["null", "long"], "default": null',
        '["null", "long", "string"], "default": null',
        "null and one type",
    ),
    ("common/Source.avsc", '["null", "long"], "default": null', '"double"', "not used in contracts"),
    ("hub/IdentityLinked.v1.avsc", '"name": "journey"', '"name": "period"', "common block"),
    (
        "hub/IdentityLinked.v1.avsc",
        '"spie.block": "fr.spie.common.PersonBlock", ',
        "",
        "sealed blocks are person",
    ),
    ("hub/IdentityLinked.v1.avsc", '"confluent:tags": ["PII"], ', "", "must be tagged PII"),
    (
        "hub/IdentityLinked.v1.avsc",
        '{"name": "rule", ',
        '{"name": "rule", "confluent:tags": ["PII"], ',
        "inside a sealed block",
    ),
    (
        "measures/MeasureRequested.v1.avsc",
        '"name": "sensitive", "type": ["null", "bytes"]',
        '"name": "sensitive", "type": ["null", "string"]',
        "must be bytes",
    ),
    ("measures/MeasureAnswered.v1.avsc", '["measure_id"]', '["person.email"]', "no clear field"),
    ("topics.toml", '"OrientationDecided", ', "", "OrientationDecided must be in exactly one topic"),
    (
        "topics.toml",
        '"OrientationDecided", ',
        '"OrientationDecided", "Nothing", ',
        "there is no record Nothing",
    ),
    (
        "measures/MeasureAnswered.v1.avsc",
        '"default": false',
        '"default": 0',
        "late: its default must be true or false",
    ),
    ("entrants/Payer.avsc", '"numorg"', '"number"', "NewRsaEntrant.v1: is not what lock.json says"),
    ("lock.json", '"IdentityLinked.v1"', '"IdentityLost.v1"', "IdentityLost.v1 has no file"),
    ("lock.json", '"IdentityLinked.v1"', '"IdentityLost.v1"', "IdentityLinked.v1: is not in lock.json"),
    ("lock.json", '"id": 2', '"id": 1', "an id is given twice"),
]


@pytest.mark.parametrize(("file", "old", "new", "finding"), BREACHES, ids=[b[3] for b in BREACHES])
def test_a_breach_is_found(folder: Path, file: str, old: str, new: str, finding: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert finding in findings(folder)


def test_a_shared_type_that_nothing_uses_is_found(folder: Path) -> None:
    text = (folder / "common/Source.avsc").read_text().replace('"Source"', '"Spare"')
    (folder / "common/Spare.avsc").write_text(text)
    assert "fr.spie.common.Spare: no record uses it" in findings(folder)


def test_two_types_of_one_short_name_are_found(folder: Path) -> None:
    text = (folder / "common/Source.avsc").read_text().replace('"fr.spie.common"', '"fr.spie.hub"')
    (folder / "hub/Source.avsc").write_text(text)
    assert "has the same short name" in findings(folder)


def released(folder: Path, name: str) -> None:
    lock = json.loads((folder / "lock.json").read_text())
    lock["records"][name]["released"] = True
    (folder / "lock.json").write_text(json.dumps(lock))


def test_a_released_version_may_not_change(folder: Path) -> None:
    released(folder, "MeasureAnswered.v1")
    path = folder / "measures/MeasureAnswered.v1.avsc"
    path.write_text(path.read_text().replace('"places_left"', '"places"'))
    assert "MeasureAnswered.v1: is released and may not change; put the change in v2" in findings(folder)


def test_a_second_version_must_read_the_first(folder: Path) -> None:
    first = (folder / "measures/MeasureAnswered.v1.avsc").read_text()
    second = folder / "measures/MeasureAnswered.v2.avsc"
    second.write_text(
        first.replace('"places_left", "type": ["null", "int"], "default": null', '"places", "type": "int"')
    )
    assert "MeasureAnswered.v2: cannot read version 1: reader_field_missing_default_value" in findings(folder)
    second.write_text(first.replace('"places_left"', '"places"'))
    assert "cannot read" not in findings(folder)
    second.rename(second.with_name("MeasureAnswered.v3.avsc"))
    assert "numbered 1, 2, 3" in findings(folder)


def test_an_older_version_of_a_sealed_block_is_read_by_its_own_schema(folder: Path) -> None:
    """A block says nothing of its version: the event's does."""
    first = (folder / "measures/MeasureRequested.v1.avsc").read_text()
    (folder / "measures/MeasureRequested.v2.avsc").write_text(
        first.replace("RequestedSensitive", "RequestedHidden")
    )
    hidden = (folder / "measures/MeasureRequestedSensitive.avsc").read_text()
    hidden = hidden.replace("RequestedSensitive", "RequestedHidden")
    more = '"fields": [\n    {"name": "level", "type": "int", "default": 0, "doc": "Level."},\n'
    (folder / "measures/MeasureRequestedHidden.avsc").write_text(hidden.replace('"fields": [\n', more))
    registry = FileRegistry(folder, locked=False)
    made = codec.Codec(registry)
    new = made.encode_block("MeasureRequested", "sensitive", {"level": 7, "sensitive_type": "x"})
    old = codec.encode_block("MeasureRequested", "sensitive", {"sensitive_type": "x"})
    assert made.decode_block("MeasureRequested", "sensitive", new) == {"level": 7, "sensitive_type": "x"}
    assert made.decode_block("MeasureRequested", "sensitive", old, version=1) == {"sensitive_type": "x"}
