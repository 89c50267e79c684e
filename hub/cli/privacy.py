"""`hub privacy matrix`: who receives what, why and under which legal basis, on one page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import the_territory, today, with_database
from hub.cli.output import Json, emit, reported

if TYPE_CHECKING:
    from hub.app import App
    from hub.rights.matrix import Matrix

app = typer.Typer(name="privacy", help="For the data-protection officer.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `matrix` a command of its own while it is the only one."""


@app.command()
def matrix(
    territory: Annotated[str | None, typer.Option(help="Which one; default: the only one.")] = None,
    on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Agreements in force that day; default: today."),
    ] = None,
    json: Json = False,
) -> None:
    """Recipient × field × purpose × legal basis in force, as Markdown."""
    from hub.rights import store
    from hub.rights.matrix import as_text
    from hub.rights.matrix import matrix as built

    async def _read(found: App) -> Matrix:
        _, configuration = await store.current(found.database, await the_territory(found, territory))
        manifests = {name: connector.manifest for name, connector in found.connectors.items()}
        return built(configuration, manifests, on.date() if on else today())

    with reported(store.NotConfigured):
        found = with_database(_read)
    if json:
        emit(found)
    else:
        typer.echo(as_text(found), nl=False)
