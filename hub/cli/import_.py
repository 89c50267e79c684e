"""`hub import CONNECTOR FILE`: a partner's file in, or with --dry-run what it would lead to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hub.cli.database import today
from hub.cli.output import Exit, Json, emit, fail, reported, say, table

if TYPE_CHECKING:
    from hub.app import App
    from hub.intake.files import MemoryStore
    from hub.intake.report import ImportReport
    from hub.sdk.inbound import Context, Examined, FileReader
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
    partner: Annotated[str | None, typer.Option(help="Sender, when a territory has several.")] = None,
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
    flow_name, reader = _reader(found, flow, file)
    flags = {"strict_totals": strict_totals, "accept_truncated": accept_truncated}
    asked = Asked(
        file,
        found,
        flow_name,
        reader,
        territory,
        partner,
        received_on.date() if received_on else today(),
        flags,
    )
    try:
        report = asyncio.run(_preview(asked)) if dry_run else _import(asked)
    except FileRefused as refused:
        if json:
            emit({"refused": {"code": refused.code, "message": str(refused), "line": refused.line}})
        where = f", line {refused.line}" if refused.line else ""
        raise fail(f"{file.name}{where}: the whole file is refused ({refused.code}): {refused}") from None
    except OSError as error:
        raise fail(f"{file}: {error.strerror or error}") from None
    if json:
        emit(report)
    else:
        _show(report, dry_run)


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    file: Path
    connector: Connector
    flow: str
    reader: FileReader
    territory: str | None
    partner: str | None
    received_on: date
    flags: dict[str, bool]

    def settings(self, partner: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The connector's defaults, the partner's settings, and what the command line insists on."""
        defaults = {name: setting.default for name, setting in self.connector.manifest.settings.items()}
        return {**defaults, **(partner or {}), **{name: True for name, on in self.flags.items() if on}}


def _connector(name: str) -> Connector:
    from hub.sdk.manifest import discover

    known = discover(Path(__file__).resolve().parents[2] / "connectors")
    if name not in known:
        raise fail(f"no connector {name}; there are: {', '.join(sorted(known))}", Exit.USAGE)
    return known[name]


def _reader(connector: Connector, name: str | None, file: Path) -> tuple[str, FileReader]:
    """Flow and module that read this file: the flow asked for, the only one, or the one whose pattern fits the name."""
    flows = [flow for flow in connector.manifest.flows if flow.kind == "file" and name in (None, flow.name)]
    if len(flows) > 1:
        flows = [flow for flow in flows if flow.file_pattern and file.match(flow.file_pattern)]
    if len(flows) != 1:
        names = ", ".join(flow.name for flow in connector.manifest.flows if flow.kind == "file")
        raise fail(f"which flow of {connector.name}? --flow {names or '(it reads no files)'}", Exit.USAGE)
    return flows[0].name, cast("FileReader", connector.module(flows[0].module))


def _import(asked: Asked) -> ImportReport:
    """The writing path: starts only the database. A territory that is not configured is refused."""
    from hub.cli.database import the_territory, with_database
    from hub.intake.imports import Importer, Source
    from hub.rights.store import NotConfigured

    async def work(app: App) -> ImportReport:
        territory = await the_territory(app, asked.territory)
        partner = await _partner(app, asked, territory)
        if partner is None:
            raise NotConfigured(
                f"territory {territory} has no partner with connector {asked.connector.name}: hub partner apply FILE"
            )
        settings = asked.settings(app.desk.partner(partner).settings)
        source = Source(partner, asked.flow, asked.reader, settings, asked.received_on)
        return await Importer(app.database, app.acceptor).import_file(source, asked.file, _progress)

    with reported(NotConfigured):
        return with_database(work)


def _progress(done: int, records: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {records} records" + ("\n" if done >= records else ""))


async def _partner(app: App, asked: Asked, territory: str) -> str | None:
    """The partner whose file this is: the one named, or the territory's only active one of this connector."""
    from hub.rights.store import NotConfigured

    desk = await app.desk_ready()
    try:
        partners = desk.configuration(territory).partners
    except KeyError:
        raise NotConfigured(f"territory {territory} is not configured: hub territory apply FOLDER") from None
    found = [p.id for p in partners if p.connector == asked.connector.name and p.active(asked.received_on)]
    if asked.partner is not None:
        found = [partner for partner in found if partner == asked.partner]
    if len(found) > 1:
        raise fail(f"which of {', '.join(found)} sent it? --partner", Exit.USAGE)
    return found[0] if found else None


async def _preview(asked: Asked) -> ImportReport:
    """The dry run: against the state of a database that runs here, else against nothing."""
    from hub.intake.files import EmptyMemory, dry_run
    from hub.sdk.inbound import Context

    with asked.file.open("rb") as source:
        settings = asked.settings()
        examined = asked.reader.examine(source, settings)
        territory = asked.territory or _named_territory(examined)
        context = Context(
            territory=territory,
            received_on=asked.received_on,
            now=datetime.now(UTC),
            digest=_passing_digest(territory),
            header=examined.header,
            sender_memory={},
            settings=settings,
            file_name=asked.file.name,
        )
        app = _running()
        try:
            store: MemoryStore = EmptyMemory()
            if app is not None:
                context, store = await _stored(app, asked, context, examined)
            if context.settings != settings:
                examined = asked.reader.examine(source, context.settings)
            return await dry_run(asked.reader, source, examined, context, store)
        finally:
            if app is not None:
                await app.close()


def _running() -> App | None:
    """The hub of HUB_HOME, when its database runs and it has state; nothing is started, made or migrated."""
    from hub.dev.embedded import parts
    from hub.settings import Settings

    settings = Settings()
    try:
        found = parts.attach(settings, ("postgres",))
    except parts.NotRunning:
        found = None
    if found is None or not (settings.home / "master.key").exists():
        say("no database of this hub runs here: compared with nothing, read by the default rules")
        return None
    from hub.app import App

    return App(found.settings(settings))


async def _stored(
    app: App, asked: Asked, context: Context, examined: Examined
) -> tuple[Context, MemoryStore]:
    """Context and memory of the partner whose file this would be; those of nobody when there is none."""
    from functools import partial

    from hub.intake.files import EmptyMemory
    from hub.intake.stored import StoredMemory
    from hub.rights.store import NotConfigured

    try:
        partner = await _partner(app, asked, context.territory)
    except NotConfigured as missing:
        say(f"{missing}; compared with nothing, read by the default rules")
        return context, EmptyMemory()
    if partner is None:
        say(f"territory {context.territory} has no partner for this file; compared with nothing")
        return context, EmptyMemory()
    desk = app.desk.partner(partner)
    memory = StoredMemory.of(app.database, app.desk.master, context.territory, partner, asked.flow)
    context = replace(
        context,
        digest=partial(app.desk.master.digest, context.territory),
        sender_memory=await memory.get(examined.memory_keys),
        settings=asked.settings(desk.settings),
        codes=app.desk.configuration(context.territory).territory.codes,
    )
    return context, memory


def _named_territory(examined: Examined) -> str:
    """The département that the file names (IDEPARTE 076 → 76)."""
    named = [departement.lstrip("0") for departement in examined.header.get("departements") or ()]
    if len(named) != 1:
        say(f"the file names {len(named)} départements; --territory says whose it is")
    return named[0] if named else "unknown"


def _passing_digest(territory: str) -> Callable[..., str]:
    """Digests under a key that is thrown away: good for one run, comparable with nothing stored."""
    import secrets
    from functools import partial

    from hub.people.keys import KEY_BYTES, MasterKey

    return partial(MasterKey(secrets.token_bytes(KEY_BYTES)).digest, territory)


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
