"""`hub import CONNECTOR FILE`: a partner's file in, or with --dry-run what it would lead to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.output import Exit, Json, emit, fail, say, table

if TYPE_CHECKING:
    from hub.intake.report import ImportReport
    from hub.sdk.inbound import Examined, FileReader
    from hub.sdk.manifest import Connector


def import_(
    connector: Annotated[str, typer.Argument(help="Connector that reads the file, e.g. caf.")],
    file: Annotated[Path, typer.Argument(help="The file as it was received.")],
    territory: Annotated[str | None, typer.Option(help="Territory; default: the one the file names.")] = None,
    received_on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day on which the département received it; default: today."),
    ] = None,
    flow: Annotated[str | None, typer.Option(help="Flow of the connector, when it has several.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, start nothing.")] = False,
    json: Json = False,
    strict_totals: Annotated[bool, typer.Option("--strict-totals", help="Refuse a wrong trailer.")] = False,
    accept_truncated: Annotated[
        bool, typer.Option("--accept-truncated", help="Take what is there of a file that was cut off.")
    ] = False,
) -> None:
    """Import a file. Exit 0 also when single records are rejected; 1 when the file as a whole is refused."""
    from hub.sdk.inbound import FileRefused

    found = _connector(connector)
    reader = _reader(found, flow, file)
    defaults = {name: setting.default for name, setting in found.manifest.settings.items()}
    settings = {**defaults, "strict_totals": strict_totals, "accept_truncated": accept_truncated}
    today = received_on.date() if received_on else _today()
    try:
        if not dry_run:
            report = _import(found.name, file, territory, today, settings)
        else:
            report = _dry_run(reader, file, territory, today, settings)
    except FileRefused as refused:
        if json:
            emit({"refused": {"code": refused.code, "message": str(refused), "line": refused.line}})
        where = f", line {refused.line}" if refused.line else ""
        raise fail(f"{file.name}{where}: the whole file is refused ({refused.code}): {refused}") from None
    except OSError as error:
        raise fail(f"{file}: {error.strerror}") from None
    if json:
        emit(report)
    else:
        _show(report, dry_run)


def _connector(name: str) -> Connector:
    from hub.sdk.manifest import discover

    known = discover(Path(__file__).resolve().parents[2] / "connectors")
    if name not in known:
        raise fail(f"no connector {name}; there are: {', '.join(sorted(known))}", Exit.USAGE)
    return known[name]


def _reader(connector: Connector, name: str | None, file: Path) -> FileReader:
    """The module that reads this file: the flow asked for, the only one, or the one whose pattern fits the name."""
    flows = [flow for flow in connector.manifest.flows if flow.kind == "file" and name in (None, flow.name)]
    if len(flows) > 1:
        flows = [flow for flow in flows if flow.file_pattern and file.match(flow.file_pattern)]
    if len(flows) != 1:
        names = ", ".join(flow.name for flow in connector.manifest.flows if flow.kind == "file")
        raise fail(f"which flow of {connector.name}? --flow {names or '(it reads no files)'}", Exit.USAGE)
    return connector.module(flows[0].module)  # type: ignore[return-value]


def _dry_run(
    reader: FileReader, file: Path, territory: str | None, received_on: date, settings: dict[str, Any]
) -> ImportReport:
    from hub.intake.files import EmptyMemory, dry_run
    from hub.sdk.inbound import Context

    with file.open("rb") as source:
        examined = reader.examine(source, settings)
        territory = territory or _named_territory(examined)
        say(
            f"no database is running here: compared with nothing, territory {territory} read by the default rules"
        )
        context = Context(
            territory=territory,
            received_on=received_on,
            now=datetime.now(UTC),
            digest=_passing_digest(territory),
            header=examined.header,
            sender_memory={},
            settings=settings,
            file_name=file.name,
        )
        return dry_run(reader, source, examined, context, EmptyMemory())


def _named_territory(examined: Examined) -> str:
    named = examined.header.get("departements") or []
    if len(named) != 1:
        raise fail("the file does not name one département: say --territory", Exit.USAGE)
    return named[0].lstrip("0")


def _passing_digest(territory: str) -> Callable[..., str]:
    """Digests under a key that is thrown away: good for one run, comparable with nothing stored."""
    import secrets
    from functools import partial

    from hub.people.keys import KEY_BYTES, MasterKey

    return partial(MasterKey(secrets.token_bytes(KEY_BYTES)).digest, territory)


def _today() -> date:
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo("Europe/Paris")).date()


def _show(report: ImportReport, dry_run: bool) -> None:
    """The report for a person: counts first, then what needs looking at. No personal data."""
    senders = ", ".join(
        " ".join(
            str(v) for v in (s.get("fonorg"), s.get("numorg"), "(baseline)" if s.get("baseline") else "") if v
        )
        for s in report.payers
    )
    say(
        f"{report.file}{' · dry run, nothing written' if dry_run else ''} · territory {report.territory} · {senders}"
    )
    counts = [
        ("records read", report.households),
        ("of them rejected", len(report.rejects)),
        ("adults", report.adults),
    ]
    counts += [(f"event {record}", n) for record, n in sorted(report.events.items())]
    counts += [(f"adults {outcome}", n) for outcome, n in report.outcomes.items() if n]
    counts += [(f"dropped: {reason}", n) for reason, n in report.dropped.items()]
    table(("", "n"), counts)
    if report.rejects:
        rows = [(r.line, r.household, r.reason, r.field) for r in report.rejects]
        table(("line", "record", "reason", "field"), rows, title="rejected")
    if report.warnings:
        table(("warning", "detail"), [(w.code, w.detail) for w in report.warnings])
