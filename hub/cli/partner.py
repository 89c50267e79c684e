"""`hub partner apply FILE | list | pause ID | resume ID`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from hub.cli.database import author, with_database
from hub.cli.output import Json, emit, reported, say, table
from hub.cli.territory import DryRun, apply_document, show_applied

if TYPE_CHECKING:
    from hub.app import App
    from hub.rights.store import PartnerStatus

app = typer.Typer(name="partner", help="Partners: apply a file, list, pause, resume.", no_args_is_help=True)

_Id = Annotated[str, typer.Argument(metavar="ID", help="The partner's id.")]


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="TOML with organisations, partners and agreements.")],
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Add or replace organisations, partners and agreements by id; what changes is printed."""
    from hub.app import ROOT
    from hub.rights.configuration import ConfigurationError
    from hub.rights.files import load_partners
    from hub.rights.settings import settings_problems
    from hub.sdk.manifest import discover

    with reported(ConfigurationError):
        document = load_partners(file)
        manifests = {name: found.manifest for name, found in discover(ROOT / "connectors").items()}
        if problems := settings_problems(document.partners, manifests):
            raise ConfigurationError([f"{file}: {problem}" for problem in problems])
        show_applied(*apply_document(document, dry_run), dry_run, json)


@app.command("list")
def list_(
    territory: Annotated[str | None, typer.Option(help="Only this territory's.")] = None, json: Json = False
) -> None:
    """Every partner with what holds it and how much is open."""
    from hub.rights import store

    async def _read(found: App) -> list[PartnerStatus]:
        return await store.partners(found.database, territory)

    found = with_database(_read)
    if json:
        emit({"partners": found})
        return
    table(
        ("partner", "organisation", "kind", "connector", "state", "waiting", "human", "delivered"),
        [
            (p.id, p.organisation, p.kind, p.connector, _state(p), p.waiting, p.human, p.delivered)
            for p in found
        ],
    )


def _state(partner: PartnerStatus) -> str:
    if partner.removed:
        return "removed"
    held = [f"paused ({p['kind']}): {p['reason']}, until {p['until'] or 'resumed'}" for p in partner.pauses]
    return "; ".join([] if partner.loaded else ["not loaded"]) + "; ".join(held) or "open"


@app.command()
def pause(
    partner: _Id,
    reason: Annotated[str, typer.Option(help="Why; it is shown beside the pause.")],
    until: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="When it ends by itself (territory time)."),
    ],
    json: Json = False,
) -> None:
    """Send nothing to a partner until then; what is under way ends."""
    from hub.rights import store

    end = until.replace(tzinfo=ZoneInfo("Europe/Paris"))

    async def _pause(found: App) -> None:
        await store.pause(found.database, partner, reason, end, author())

    with reported(store.NotConfigured):
        with_database(_pause)
    if json:
        emit({"partner": partner, "paused": True, "reason": reason, "until": end.isoformat()})
    else:
        say(f"{partner} is paused until {end:%Y-%m-%d %H:%M}: {reason}")


@app.command()
def resume(partner: _Id, json: Json = False) -> None:
    """Lift every pause of a partner, automatic ones too."""
    from hub.rights import store

    async def _resume(found: App) -> list[str]:
        return await store.resume(found.database, partner, author())

    with reported(store.NotConfigured):
        lifted = with_database(_resume)
    if json:
        emit({"partner": partner, "lifted": lifted})
    else:
        say(f"{partner}: lifted {', '.join(lifted)}" if lifted else f"{partner} was not paused")
