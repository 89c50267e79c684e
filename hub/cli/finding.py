"""`hub finding list | close ID`: records on the log that are not the hub's own, or no longer what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import author, with_database
from hub.cli.output import Json, emit, reported, say, table
from hub.cli.times import shown

if TYPE_CHECKING:
    from hub.app import App
    from hub.ledger.listing import FindingLine

app = typer.Typer(
    name="finding", help="What stands on the log and is not accounted for.", no_args_is_help=True
)

_KINDS = {
    "unknown": "no event with this id was accepted here",
    "altered": "other bytes than those accepted under this id",
    "no_header": "no headers of a hub",
}


@app.command("list")
def list_(
    all: Annotated[bool, typer.Option("--all", help="The closed ones too.")] = False, json: Json = False
) -> None:
    """Open findings, by the place where the record stands."""
    from hub.ledger import listing

    async def _read(found: App) -> list[FindingLine]:
        return await listing.findings(found.database, closed=all)

    lines = with_database(_read)
    if json:
        emit({"findings": lines})
        return
    table(
        ("id", "seen", "kind", "place", "what", "closed", "by", "because"),
        [
            (f.id, shown(f.at), f.kind, f.place, _KINDS[f.kind], shown(f.closed_at), f.who, f.reason)
            for f in lines
        ],
    )


@app.command()
def close(
    finding: Annotated[int, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option(help="What explains it; name no person.")],
    json: Json = False,
) -> None:
    """A person has explained it: it counts no longer."""
    from hub.delivery.repair import BadReason, checked
    from hub.ledger import listing

    with reported(BadReason):
        said = checked(reason)

    async def _close(found: App) -> None:
        await listing.close_finding(found.database, finding, said, author())

    with reported(listing.NotFound):
        with_database(_close)
    if json:
        emit({"closed": finding, "reason": said})
    else:
        say(f"finding {finding} is closed: {said}")
