"""`hub territory apply FOLDER`, `hub territory show`: the configuration of a département as controller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.database import author, the_territory, today, with_database
from hub.cli.output import Json, emit, reported, say, table

if TYPE_CHECKING:
    from hub.app import App
    from hub.rights.configuration import Configuration, Partners
    from hub.rights.store import Applied
    from hub.rights.territory import Territory

app = typer.Typer(
    name="territory", help="Territories: apply a folder, show what is in force.", no_args_is_help=True
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would change, apply nothing.")]


@app.command()
def apply(
    folder: Annotated[Path, typer.Argument(help="Folder with territory.toml and its tables.")],
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make a new version of the configuration from a territory's folder; what changes is printed."""
    from hub.rights.configuration import ConfigurationError
    from hub.rights.files import load_territory

    with reported(ConfigurationError):
        document = load_territory(folder)
        show_applied(*apply_document(document, dry_run), dry_run, json)


@app.command()
def show(
    territory: Annotated[str | None, typer.Option(help="Which one; default: the only one.")] = None,
    json: Json = False,
) -> None:
    """Show the configuration in force."""
    from hub.rights import store

    async def _read(found: App) -> tuple[int, Configuration]:
        return await store.current(found.database, await the_territory(found, territory))

    with reported(store.NotConfigured):
        version, configuration = with_database(_read)
    if json:
        emit({"version": version, "digest": configuration.digest(), **masked(configuration.document())})
        return
    known = configuration.territory
    say(f"territory {known.id} {known.name} · version {version} · main payer {' '.join(_payer(known))}")
    table(
        ("measure type", "label", "may be asked", "sensitive", "days", "funding"),
        [
            (
                m.code,
                m.label,
                ", ".join(m.provider_kinds),
                "yes" if m.sensitive else "",
                m.expiry_days,
                m.funding_line,
            )
            for m in known.measure_types
        ],
    )
    table(
        ("flow", "declared masters"), [(record, ", ".join(names)) for record, names in known.masters.items()]
    )
    table(
        ("partner", "organisation", "kind", "connector", "agreements until"),
        [
            (
                p.id,
                organisation.name,
                organisation.kind,
                p.connector,
                ", ".join(str(a.end) for a in configuration.agreements if a.organisation == organisation.id),
            )
            for p in configuration.partners
            if (organisation := configuration.organisation(p.organisation))
        ],
    )


def _payer(territory: Territory) -> tuple[str, str]:
    return territory.main_payer.fonorg, territory.main_payer.numorg


def apply_document(document: Territory | Partners, dry_run: bool) -> tuple[Applied, list[str]]:
    """Apply, or only compute, the next version; its changes and what is probably not meant."""
    from hub.rights import store
    from hub.rights.changes import diff
    from hub.rights.configuration import combine, doubts
    from hub.rights.territory import Territory

    territory = document.id if isinstance(document, Territory) else document.territory

    async def _apply(found: App) -> tuple[Applied, list[str]]:
        if dry_run:
            try:
                version, before = await store.current(found.database, territory)
            except store.NotConfigured:
                version, before = 0, None
            after = combine(before, document)
            return store.Applied(version, diff(before, after)), doubts(after, today())
        applied = await store.apply_configuration(found.database, document, author())
        _, now = await store.current(found.database, territory)
        return applied, doubts(now, today())

    return with_database(_apply)


def show_applied(applied: Applied, doubted: list[str], dry_run: bool, json: bool) -> None:
    """Print a version's changes, and the doubts on stderr."""
    if json:
        emit(
            {
                "version": applied.version,
                "applied": not dry_run,
                "changes": [change.shown() for change in applied.changes],
                "doubts": doubted,
            }
        )
        return
    for change in applied.changes:
        typer.echo(str(change))
    count = len(applied.changes)
    if dry_run:
        say(f"dry run: {count} changes to version {applied.version}, nothing applied")
    else:
        say(
            f"version {applied.version}: {count} changes"
            if count
            else f"version {applied.version}: nothing changed"
        )
    for doubt in doubted:
        say(f"note: {doubt}")


def masked(document: dict[str, Any]) -> dict[str, Any]:
    """The document without sealed secrets; ``env:`` and ``file:`` only say where a secret is kept."""
    for partner in document["partners"]:
        partner["secrets"] = {
            name: "sealed:…" if reference.startswith("sealed:") else reference
            for name, reference in partner["secrets"].items()
        }
    return document
