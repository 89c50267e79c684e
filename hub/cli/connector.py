"""`hub connector`: what connectors there are, and what one would make of a sample, without Kafka or database."""

from __future__ import annotations

import hashlib
import json as jsonlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.output import Json, emit, fail, reported, say, table

if TYPE_CHECKING:
    from hub.sdk.manifest import Connector
    from hub.sdk.outbound import EventView, Message, Nothing

app = typer.Typer(help="Connectors: list them, try one on a sample.", no_args_is_help=True)

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


@app.command("list")
def list_(json: Json = False) -> None:
    """List the connectors with the records that they read and write."""
    from hub.sdk.manifest import discover

    with reported(ValueError):
        found = discover(FOLDER)
    rows = [_row(connector) for connector in found.values()]
    if json:
        emit(rows)
        return
    table(
        ("connector", "version", "reads", "writes", "by", "after an unknown outcome", "title"),
        [
            (r["name"], r["version"], " ".join(r["reads"]), " ".join(r["writes"]), r["transport"], r["unknown_outcome"], r["title"])
            for r in rows
        ],
    )  # fmt: skip


@app.command("try")
def try_(
    name: Annotated[str, typer.Argument(help="A connector, e.g. structure.")],
    sample: Annotated[Path, typer.Argument(help="An event as JSON, or a file of the partner's own.", exists=True, dir_okay=False)],
    kind: Annotated[str, typer.Option("--partner", metavar="KIND", help="The kind of organisation, e.g. structure.")] = "",
    codes: Annotated[Path | None, typer.Option(help="A territory's folder, for files that need its tables.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the partner.")] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Print what a partner would see of an event and what would leave; or what would become of a partner's file."""
    from hub.sdk.manifest import discover

    with reported(ValueError):
        connectors = discover(FOLDER)
    if name not in connectors:
        raise fail(f"there is no connector {name}; connectors are {', '.join(connectors)}")
    given = dict(pair.split("=", 1) for pair in settings or () if "=" in pair)
    if sample.suffix != ".json":
        _show_file(connectors[name], sample, codes, given, json)
        return
    kind = kind or name
    with reported(NoSample, ValueError):
        seen = preview(connectors[name], jsonlib.loads(sample.read_text(encoding="utf-8")), kind, given)
    _show(seen, connectors[name], kind, json)


def preview(connector: Connector, sample: Any, kind: str, settings: dict[str, Any] | None = None) -> Preview:
    """The view of this kind of partner and the message made of it. Raises NoSample, and ValueError for an unknown kind.

    `sample`: {"record": …, "fields": the event in its open form, "recipient"?: {their_id, released, settings}}; or a
    CloudEvents object with `type` and `data`."""
    from hub.log.codec import project
    from hub.rights.agreement import KINDS
    from hub.rights.view import view_fields
    from hub.sdk.outbound import EventView, Nothing, Recipient

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
    from hub.sdk.inbound import Context, Reject

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
    memory: dict[tuple[str, ...], Any] = {}
    drafts, rejects, warnings, counts = [], [], [], Counter()
    with path.open("rb") as source:
        examined = reader.examine(source, settings)
        context = Context("76", now.date(), now, _digest, examined.header, {}, settings, codes, path.name)
        reader.begin(context)
        source.seek(0)
        for record in reader.read(source, examined):
            if isinstance(record, Reject):
                rejects.append(record)
                continue
            known = {key: memory[key] for key in reader.keys(record) if key in memory}
            decision = reader.decide(known, record, context)
            memory.update({key: value for key, value in decision.memory.items() if value is not None})
            drafts += [_draft(draft) for draft in decision.drafts]
            rejects += decision.rejects
            warnings += decision.warnings
            counts += decision.counts
    return {
        "flow": flow.name,
        "header": {name: value for name, value in examined.header.items() if not isinstance(value, Mapping)},
        "records": examined.records,
        "drafts": drafts,
        "rejects": rejects,
        "warnings": [*examined.warnings, *warnings],
        "counts": dict(counts),
    }


def _draft(draft: Any) -> dict[str, Any]:
    from dataclasses import asdict

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
    from hub.log.models import RECORDS

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
    from pydantic import ValidationError

    from hub.log.models import RECORDS

    try:
        return RECORDS[record].model_validate_json(jsonlib.dumps(fields)).model_dump()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise NoSample(f"not a {record}: {wrong}") from None


def _row(connector: Connector) -> dict[str, Any]:
    manifest = connector.manifest
    return {
        "name": manifest.name,
        "title": manifest.title,
        "version": manifest.version,
        "contract": manifest.contract,
        "reads": sorted({record for flow in manifest.flows for record in flow.records}),
        "writes": sorted(manifest.outbound.records) if manifest.outbound else [],
        "transport": manifest.outbound.transport if manifest.outbound else None,
        "unknown_outcome": manifest.outbound.unknown_outcome if manifest.outbound else None,
        "released": sorted(manifest.release),
    }


def _show(seen: Preview, connector: Connector, kind: str, as_json: bool) -> None:
    from hub.sdk.outbound import Nothing

    nothing = isinstance(seen.message, Nothing)
    if as_json:
        emit(
            {
                "connector": connector.name,
                "kind": kind,
                "record": seen.view.record,
                "fields": seen.fields,
                "view": _plain(seen.view.fields),
                "message": None if nothing else {"action": seen.message.action, "body": seen.message.body},
                "file": None if seen.file is None else seen.file.decode("utf-8", "replace"),
            }
        )
        return
    say(f"{seen.view.record} for a {kind} through {connector.name}: {len(seen.fields)} fields")
    emit(_plain(seen.view.fields))
    if nothing:
        say("nothing would leave: withheld(nothing_to_say)")
        return
    say(f"message ({seen.message.action}):")
    emit(seen.message.body)
    if seen.file is not None:
        say("as a file:")
        typer.echo(seen.file.decode("utf-8", "replace"), nl=False)


def _show_file(
    connector: Connector, path: Path, codes: Path | None, settings: dict[str, str], as_json: bool
) -> None:
    from hub.sdk.inbound import FileRefused

    tables: dict[str, Any] = {}
    if codes is not None:
        from hub.rights.files import load_territory

        with reported(ValueError, OSError):
            tables = dict(load_territory(codes).codes)
    with reported(NoSample, FileRefused):
        report = read_file(connector, path, tables, datetime.now(UTC), settings)
    if as_json:
        emit(report)
        return
    say(
        f"{report['flow']}: {report['records']} records, {len(report['drafts'])} drafts, {len(report['rejects'])} rejects"
    )
    table(
        ("position", "record", "rule", "fields", "person", "addressee"),
        [
            (
                d["position"],
                d["record"],
                d["rule"],
                " ".join(d["fields"]),
                " ".join(d["person"]),
                d["addressee"],
            )
            for d in report["drafts"]
        ],
    )
    table(
        ("position", "line", "reason", "field", "detail"),
        [(r.position.ordinal, r.position.line, r.reason, r.field, r.detail) for r in report["rejects"]],
        "rejects",
    )
    for notice in report["warnings"]:
        say(f"warning {notice.code}: {notice.detail}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
