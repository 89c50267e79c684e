"""What a connector would make of a sample: the view and message of an event, or the drafts of a partner's file. No Kafka,
no database, no key of the hub."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub.intake.files import plan_batch
from hub.log.codec import project
from hub.log.models import RECORDS
from hub.rights.agreement import KINDS
from hub.rights.view import view_fields
from hub.sdk.inbound import Context, Draft
from hub.sdk.manifest import Connector
from hub.sdk.outbound import EventView, Message, Nothing, Recipient

FOLDER = Path(__file__).parents[2] / "connectors"
REFERENCE, EVENT_ID = "u-exemple", "00000000-0000-5000-8000-000000000000"


class NoSample(ValueError):
    """The sample cannot be used; the text says why and what a sample looks like."""


@dataclass(frozen=True)
class Preview:
    """What one partner would see of an event, and what would leave."""

    fields: tuple[str, ...]
    view: EventView
    message: Message | Nothing
    file: bytes | None = None


def preview(connector: Connector, sample: Any, kind: str, settings: dict[str, Any] | None = None) -> Preview:
    """The view of this kind of partner and the message made of it. Raises NoSample, and ValueError for an unknown kind.

    `sample`: {"record": …, "fields": the event in its open form, "recipient"?: {their_id, released, settings}}; or a
    CloudEvents object with `type` and `data`."""
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; kinds are {', '.join(KINDS)}")
    record, fields, given = _parts(sample)
    allowed = view_fields(connector.manifest, kind, record, health=True)
    if not allowed:
        raise NoSample(f"a {kind} gets nothing of {record} through {connector.name}")
    typed = _typed(record, fields)
    occurred = typed.get("observed_at") or datetime(2026, 1, 1, tzinfo=UTC)
    view = EventView(record, EVENT_ID, 1, occurred, str(typed.get("territory", "")), project(typed, allowed))
    recipient = Recipient(
        f"{kind}-exemple",
        REFERENCE,
        given.get("their_id"),
        {k: v for k, v in given.get("released", {}).items() if k in connector.manifest.release},
        default_settings(connector) | given.get("settings", {}) | (settings or {}),
    )
    message = connector.outbound.translate(view, recipient)
    render = getattr(connector.outbound, "render", None)
    file = None if isinstance(message, Nothing) or render is None else render([message], recipient.settings)
    return Preview(tuple(sorted(allowed)), view, message, file)


def default_settings(connector: Connector) -> dict[str, Any]:
    """A partner's settings as the manifest has them when nobody sets any."""
    return {
        name: setting.default for name, setting in connector.manifest.settings.items() if not setting.secret
    }


def read_file(
    connector: Connector,
    path: Path,
    codes: dict[str, Any],
    now: datetime,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the connector makes of one file, over an empty memory: drafts and rejects. Persons are shown by the names of
    what is known about them only. Raises NoSample when no flow reads such a file, FileRefused."""
    flow = next(
        (
            f
            for f in connector.manifest.flows
            if f.kind == "file" and fnmatch(path.name, f.file_pattern or "*")
        ),
        None,
    )
    if flow is None:
        patterns = [f.file_pattern for f in connector.manifest.flows if f.kind == "file"]
        raise NoSample(
            f"{connector.name} reads no file of this name; it reads {', '.join(map(str, patterns)) or 'none'}"
        )
    reader, settings = connector.module(flow.module), default_settings(connector) | (settings or {})
    with path.open("rb") as source:
        examined = reader.examine(source, settings)
        context = Context("00", now.date(), now, _digest, examined.header, {}, settings, codes, path.name)
        notices = list(reader.begin(context) or ())
        decisions = plan_batch(reader, list(reader.read(source, examined)), {}, context)
    return {
        "flow": flow.name,
        "header": {name: value for name, value in examined.header.items() if not isinstance(value, Mapping)},
        "records": examined.records,
        "drafts": [_draft(draft) for decision in decisions for draft in decision.drafts],
        "rejects": [reject for decision in decisions for reject in decision.rejects],
        "warnings": [*examined.warnings, *notices, *(w for decision in decisions for w in decision.warnings)],
        "counts": dict(sum((decision.counts for decision in decisions), Counter())),
    }


def _draft(draft: Draft) -> dict[str, Any]:
    known = [name for name, value in asdict(draft.subject).items() if value not in (None, (), True)]
    return {
        "record": draft.record,
        "position": draft.position.ordinal,
        "rule": draft.rule,
        "person": known,
        "fields": dict(draft.fields),
        "sensitive": sorted(draft.sensitive or {}),
        "addressee": draft.addressee,
    }


def _digest(*parts: object) -> str:
    """Stands for the hub's keyed hash; without key, so good for a look at a sample only."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _parts(sample: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    shape = 'a sample is {"record": "MeasureRequested", "fields": {…}}, or a CloudEvents object with type and data'
    if not isinstance(sample, dict):
        raise NoSample(shape)
    record, fields = sample.get("record"), sample.get("fields", sample.get("data"))
    if record is None and isinstance(sample.get("type"), str):
        record = sample["type"].split(".")[-2] if sample["type"].count(".") >= 2 else None
    if not isinstance(record, str) or not isinstance(fields, dict):
        raise NoSample(shape)
    if record not in RECORDS:
        raise NoSample(f"there is no record {record}; records are {', '.join(RECORDS)}")
    return record, fields, sample.get("recipient") or {}


def _typed(record: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The event's values as the codec gives them: dates, ids and times typed, codes as text."""
    try:
        return RECORDS[record].model_validate_json(json.dumps(fields)).model_dump()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise NoSample(f"not a {record}: {wrong}") from None
