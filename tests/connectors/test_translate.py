"""What holds for every connector's `translate`: golden messages, pure and deterministic, nothing beyond its view."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cli.preview import EVENT_ID, FOLDER, REFERENCE, default_settings, preview
from hub.log.codec import project
from hub.rights.agreement import KINDS, PROTECTED, covers
from hub.rights.view import view_fields
from hub.sdk.manifest import Connector, discover
from hub.sdk.outbound import EventView, Message, Nothing, Recipient
from tests.connectors.events import canaries, events

CONNECTORS = {name: c for name, c in discover(FOLDER).items() if c.manifest.outbound is not None}
RECORDS = [(name, record) for name, c in CONNECTORS.items() for record in c.manifest.outbound.records]
BY_HAND = [(name, record) for name, record in RECORDS if "profile" not in CONNECTORS[name].manifest.settings]
"""Connectors whose own code picks the fields; where a profile picks them, the view alone is the guard."""
SAMPLES = [
    (name, path) for name, c in CONNECTORS.items() for path in sorted(c.folder.glob("samples/*.event.json"))
]
NIR, MATRICULE, CLAIM = "1850499999001", "0345146", "76123456789"


def kind_of(name: str) -> str:
    """The kind of organisation that this connector is for."""
    return name if name in KINDS else "structure"


def recipient(
    connector: Connector, reference: str = REFERENCE, their_id: str | None = "12345678901"
) -> Recipient:
    """Everything that the index could know of a person, cut down to what the manifest declares."""
    known = {"nir": NIR, "matricule": MATRICULE, "numdemrsa": CLAIM}
    released = {kind: value for kind, value in known.items() if kind in connector.manifest.release}
    own = their_id if connector.manifest.their_id else None
    return Recipient("partner-1", reference, own, released, default_settings(connector))


def view(record: str, fields: dict) -> EventView:
    return EventView(record, EVENT_ID, 7, datetime(2026, 3, 20, tzinfo=UTC), "76", fields)


@pytest.mark.parametrize(("name", "path"), SAMPLES, ids=lambda v: v if isinstance(v, str) else v.stem)
def test_sample_gives_the_golden_message(name: str, path: Path):
    seen = preview(CONNECTORS[name], json.loads(path.read_text(encoding="utf-8")), kind_of(name))
    golden = json.loads(path.with_name(path.name.replace(".event.", ".message.")).read_text(encoding="utf-8"))
    if golden == "nothing":
        assert seen.message == Nothing()
    else:
        assert isinstance(seen.message, Message)
        assert {"action": seen.message.action, "body": seen.message.body} == golden
        assert Message.decode(seen.message.encode()) == seen.message


@pytest.mark.parametrize("name", CONNECTORS)
def test_every_record_that_a_connector_writes_has_a_golden_sample(name):
    sampled = {path.name.split(".")[0] for connector, path in SAMPLES if connector == name}
    assert set(CONNECTORS[name].manifest.outbound.records) <= sampled


@pytest.mark.parametrize(("name", "record"), RECORDS)
def test_declared_fields_are_all_in_the_kinds_default(name, record):
    """A field that the connector declares and the kind never gets would be dead text in the matrix."""
    declared = set(CONNECTORS[name].manifest.outbound.records[record].fields)
    seen = view_fields(CONNECTORS[name].manifest, kind_of(name), record, health=True)
    assert {path for path in declared if not covers(seen, path)} == set()


@pytest.mark.parametrize(("name", "record"), BY_HAND)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_translate_reads_nothing_but_the_declared_fields(name, record, data):
    connector = CONNECTORS[name]
    event = data.draw(events(record))
    allowed = view_fields(connector.manifest, kind_of(name), record, health=True)
    whole = connector.outbound.translate(view(record, event), recipient(connector))
    assert whole == connector.outbound.translate(view(record, project(event, allowed)), recipient(connector))


@pytest.mark.parametrize(("name", "record"), RECORDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_translate_gives_the_same_bytes_from_the_same_view(name, record, data):
    connector = CONNECTORS[name]
    event = data.draw(events(record))
    allowed = view_fields(connector.manifest, kind_of(name), record, health=True)
    who = recipient(connector, their_id=data.draw(st.sampled_from([None, "12345678901"])))
    seen = connector.outbound.translate(view(record, project(event, allowed)), who)
    if isinstance(seen, Message):
        again = connector.outbound.translate(view(record, project(event, allowed)), who)
        assert seen.encode() == again.encode()
        assert Message.decode(seen.encode()).encode() == seen.encode()


@pytest.mark.parametrize(("name", "record"), RECORDS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_translate_copes_with_any_narrowing(name, record, data):
    """An agreement may take any field away: that gives less, never an error."""
    connector = CONNECTORS[name]
    allowed = sorted(view_fields(connector.manifest, kind_of(name), record, health=True))
    left = data.draw(st.sets(st.sampled_from(allowed), min_size=1))
    event = project(data.draw(events(record)), frozenset(left))
    assert isinstance(
        connector.outbound.translate(view(record, event), recipient(connector)), (Message, Nothing)
    )


@pytest.mark.parametrize(("name", "record"), RECORDS)
def test_no_canary_of_an_undeclared_field_leaves(name, record):
    connector = CONNECTORS[name]
    declared = connector.manifest.outbound.records[record].fields
    allowed = view_fields(connector.manifest, kind_of(name), record, health=True)
    event = canaries(record)
    variants = [event | {"type": None}, event | {"sensitive": None}] if "sensitive" in event else [event]
    for variant in variants:
        message = connector.outbound.translate(view(record, project(variant, allowed)), recipient(connector))
        if isinstance(message, Nothing):
            continue
        text = message.encode().decode()
        for path in _paths(variant):
            assert covers(declared, path) or f"CANARY<{path}>" not in text
        for value in (NIR, MATRICULE, CLAIM):
            assert value not in text or connector.manifest.release


@pytest.mark.parametrize(("name", "record"), RECORDS)
def test_protected_persons_whereabouts_do_not_leave(name, record):
    connector = CONNECTORS[name]
    fields = view_fields(connector.manifest, kind_of(name), record, protected=True)
    message = connector.outbound.translate(
        view(record, project(canaries(record), fields)), recipient(connector)
    )
    if isinstance(message, Message):
        text = message.encode().decode()
        assert not [
            path for path in _paths(canaries(record)) if covers(PROTECTED, path) and f"CANARY<{path}>" in text
        ]


def _paths(value: dict, prefix: str = "") -> list[str]:
    """Dotted names of all leaves; the names that `canaries` writes into texts."""
    found = []
    for name, inner in value.items():
        path = f"{prefix}{name}"
        found += _paths(inner, path + ".") if isinstance(inner, dict) else [path]
    return found
