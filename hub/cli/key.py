"""`hub key create | list | revoke`: the partners' API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import with_database
from hub.cli.output import Json, emit, fail, reported, say, table
from hub.cli.times import shown

if TYPE_CHECKING:
    from hub.app import App
    from hub.gateway.auth import Key

app = typer.Typer(name="key", help="API keys of partners: create, list, revoke.", no_args_is_help=True)

_Partner = Annotated[str, typer.Argument(help="The partner's id.")]


@app.command()
def create(partner: _Partner, json: Json = False) -> None:
    """Make a key and print it, this once: only its hash is kept. Older keys stay until they are revoked."""
    from hub.gateway import auth

    async def _create(found: App) -> str:
        return await auth.create_key(found.database, partner)

    with reported(auth.NoSuchPartner):
        key = with_database(_create)
    if json:
        emit({"partner": partner, "key": key})
    else:
        typer.echo(key)
        say(f"the key of {partner}: hand it over safely, it cannot be shown again")


@app.command("list")
def list_(
    partner: Annotated[str | None, typer.Argument(help="Only this partner's.")] = None, json: Json = False
) -> None:
    """The keys there are, named by the first digits of their hash."""
    from hub.gateway import auth

    async def _read(found: App) -> list[Key]:
        return await auth.keys(found.database, partner)

    found = with_database(_read)
    if json:
        emit({"keys": found})
        return
    table(
        ("key", "partner", "made", "revoked"),
        [(k.id, k.partner, shown(k.created_at), shown(k.revoked_at)) for k in found],
    )


@app.command()
def revoke(
    partner: _Partner,
    key: Annotated[str | None, typer.Option(metavar="ID", help="Only this one (see `hub key list`).")] = None,
    json: Json = False,
) -> None:
    """End a partner's keys, from the next request on."""
    from hub.gateway import auth

    async def _revoke(found: App) -> list[str]:
        return await auth.revoke_keys(found.database, partner, key)

    revoked = with_database(_revoke)
    if json:
        emit({"partner": partner, "revoked": revoked})
    elif revoked:
        say(f"revoked: {', '.join(revoked)}")
    else:
        raise fail(f"{partner} has no such key in force")
