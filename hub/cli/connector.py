"""`hub connector`: what connectors there are, and what one would make of a sample, without Kafka or database."""

from __future__ import annotations

import json as jsonlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.output import Json, emit, fail, reported, say, table

if TYPE_CHECKING:
    from hub.cli.preview import Preview
    from hub.sdk.manifest import Connector

app = typer.Typer(help="Connectors: list them, try one on a sample.", no_args_is_help=True)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the connectors with the records that they read and write."""
    from hub.cli.preview import FOLDER
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
    from hub.cli.preview import FOLDER, preview
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
    with reported(ValueError):
        seen = preview(connectors[name], jsonlib.loads(sample.read_text(encoding="utf-8")), kind, given)
    _show(seen, connectors[name], kind, json)


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
    from hub.cli.preview import NoSample, read_file
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
