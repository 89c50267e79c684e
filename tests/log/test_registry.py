"""Ids, names, tags, blocks and topics of the contracts, and a folder that does not hold together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hub.log.limits import BadSchema
from hub.log.registry import (
    FileRegistry,
    RegistryUnavailable,
    UnknownSchema,
    current,
    read_lock,
    root,
    write_lock,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the contracts that a test may damage."""
    return shutil.copytree(root(), tmp_path / "schemas")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_ids_and_schemas_are_each_others_inverse() -> None:
    registry = current()
    for schema in registry.schemas():
        assert registry.schema_for(registry.id_for(schema.record, schema.version)) is schema


def test_ids_never_change() -> None:
    """Events on the topics carry them: a record keeps its id for ever."""
    found = {f"{s.record}.v{s.version}": s.id for s in current().schemas()}
    assert (
        found.items()
        >= {
            "ContactChanged.v1": 1,
            "DepartmentTransferred.v1": 2,
            "IdentityLinked.v1": 3,
            "MeasureAnswered.v1": 4,
            "MeasureRequested.v1": 5,
            "NewRsaEntrant.v1": 6,
            "OrientationDecided.v1": 7,
            "PersonCorrected.v1": 8,
            "ReferentDesignated.v1": 9,
            "RsaEntitlementChanged.v1": 10,
        }.items()
    )


def test_what_a_record_is() -> None:
    registry = current()
    schema = registry.get("MeasureRequested")
    assert schema.ce_type == "fr.spie.measures.MeasureRequested.v1"
    assert registry.family("MeasureRequested") == "measures"
    assert registry.topic("MeasureRequested") == "spie.measures"
    assert registry.matter("MeasureRequested") == ("measure_id",)
    assert registry.tags("MeasureRequested", "person.birth_name") == ("PII",)
    assert registry.tags("MeasureRequested", "person.address.commune") == ("PII",)
    assert registry.tags("MeasureRequested", "sensitive.sensitive_type") == ("HEALTH",)
    assert registry.tags("MeasureRequested", "addressee") == ()
    assert registry.block("MeasureRequested", "sensitive")["name"] == "MeasureRequestedSensitive"
    assert registry.block("NewRsaEntrant", "sensitive") is None
    assert registry.block("ReferentDesignated", "person")["name"] == "ReferentDesignatedPerson"
    assert schema.fields["period"].nullable
    assert schema.fields["sensitive"].nullable
    assert schema.fields["person.address.postal_code"].block == "person"
    assert schema.fields["type"].type.startswith("one of aci, ")


def test_a_matter_is_made_of_the_record_and_its_clear_fields() -> None:
    registry = current()
    assert registry.get("ContactChanged").matter_key({"channel": "PHONE"}) == "ContactChanged|PHONE"
    assert (
        registry.get("ReferentDesignated").matter_key({"journey": None, "scope": "PRO"})
        == "ReferentDesignated|-|PRO"
    )
    assert registry.get("IdentityLinked").matter_key({"territory": "76"}) is None


def test_what_is_unknown_is_said_with_what_is_known() -> None:
    with pytest.raises(UnknownSchema, match="NewRsaEntrant"):
        current().get("NewRsaEntrent")
    with pytest.raises(UnknownSchema):
        current().get("NewRsaEntrant", 99)
    with pytest.raises(UnknownSchema):
        current().schema_for(0)
    with pytest.raises(UnknownSchema):
        current().tags("NewRsaEntrant", "nir")


def test_topics_have_what_the_broker_needs() -> None:
    topics = current().topics()
    assert set(topics) == {"spie.entrants", "spie.orientations", "spie.measures", "spie.hub"}
    for topic in topics.values():
        assert topic.partitions == 12
        assert topic.settings["message.timestamp.type"] == "LogAppendTime"
        assert topic.settings["retention.ms"] == "-1"
        assert all(isinstance(value, str) for value in topic.settings.values())
    assert topics["spie.hub"].internal


def test_a_folder_that_is_not_there_is_retry_not_poison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_SCHEMAS", str(tmp_path))
    with pytest.raises(RegistryUnavailable, match="HUB_SCHEMAS"):
        root()
    with pytest.raises(RegistryUnavailable):
        FileRegistry(tmp_path)


def test_the_folder_is_settable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_SCHEMAS", str(folder))
    assert FileRegistry().folder == folder


def test_another_form_under_a_locked_id_is_refused(folder: Path) -> None:
    edit(folder / "entrants/Payer.avsc", '"numorg"', '"number"')
    with pytest.raises(BadSchema, match=r"NewRsaEntrant\.v1\.avsc: is not what lock.json says"):
        FileRegistry(folder)


def test_a_change_inside_a_block_is_another_form(folder: Path) -> None:
    edit(folder / "common/Address.avsc", '"commune"', '"town"')
    with pytest.raises(BadSchema, match=r"lock\.json"):
        FileRegistry(folder)


def test_a_doc_is_no_part_of_the_form(folder: Path) -> None:
    edit(folder / "entrants/Payer.avsc", "Organisme that pays the RSA.", "Who pays.")
    FileRegistry(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("common/Source.avsc", '"Source"', '"Sauce"', "must define Source"),
        ("common/Source.avsc", '"fr.spie.common"', '"fr.spie.hub"', "in namespace fr.spie.common"),
        ("common/Source.avsc", '"doc"', '"doc', "not JSON"),
        ("common/Corrects.avsc", "fr.spie.common.CorrectionKind", "fr.spie.common.Nothing", "no file"),
        ("common/Source.avsc", '["null", "long"]', '["null", "fr.spie.common.Source"]', "contains itself"),
        ("common/Address.avsc", '"items": "string"', '"items": "null"', "take no bytes"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, file: str, old: str, new: str, why: str) -> None:
    edit(folder / file, old, new)
    with pytest.raises(BadSchema, match=why) as caught:
        FileRegistry(folder, locked=False)
    assert ".avsc: " in str(caught.value)


# ------------------------------------------------------------------ lock.json
def test_writing_the_lock_twice_changes_nothing(folder: Path) -> None:
    before = (folder / "lock.json").read_bytes()
    assert not write_lock(FileRegistry(folder))
    assert (folder / "lock.json").read_bytes() == before


def test_a_new_version_gets_the_next_id_and_the_others_keep_theirs(folder: Path) -> None:
    edit(folder / "entrants/Payer.avsc", "Organisme", "Organism")
    shutil.copy(folder / "measures/MeasureAnswered.v1.avsc", folder / "measures/MeasureAnswered.v2.avsc")
    before = read_lock(folder)
    assert write_lock(FileRegistry(folder, locked=False))
    after = read_lock(folder)
    assert after.items() >= before.items()
    assert after["MeasureAnswered.v2"]["id"] == 1 + max(entry["id"] for entry in before.values())
    registry = FileRegistry(folder)
    assert registry.get("MeasureAnswered").version == 2
    assert registry.get("MeasureAnswered", 1).id == before["MeasureAnswered.v1"]["id"]


def test_an_unreleased_version_is_locked_anew_and_a_released_one_never(folder: Path) -> None:
    edit(folder / "measures/MeasureAnswer.avsc", '"PENDING"', '"LATER"')
    assert write_lock(FileRegistry(folder, locked=False))
    lock = json.loads((folder / "lock.json").read_text())
    lock["records"]["MeasureAnswered.v1"]["released"] = True
    (folder / "lock.json").write_text(json.dumps(lock))
    edit(folder / "measures/MeasureAnswer.avsc", '"LATER"', '"PENDING"')
    with pytest.raises(BadSchema, match=r"add MeasureAnswered\.v2\.avsc"):
        write_lock(FileRegistry(folder, locked=False))


def test_a_registered_form_written_into_its_file_is_the_same_contract(folder: Path) -> None:
    """How a released version is kept when a shared type that it uses must change (schemas/README.md)."""
    for schema in current().schemas():
        path = folder / schema.family / f"{schema.record}.v{schema.version}.avsc"
        path.write_text(json.dumps(schema.definition), encoding="utf-8")
    edit(folder / "common/Address.avsc", '"commune"', '"town"')
    assert FileRegistry(folder).get("NewRsaEntrant").fingerprint == current().get("NewRsaEntrant").fingerprint
