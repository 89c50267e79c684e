"""`hub review list`: where it is not sure who is who."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import with_database
from hub.cli.output import Json, emit, say, table
from hub.cli.times import shown

if TYPE_CHECKING:
    from hub.app import App
    from hub.people.review import ReviewLine

app = typer.Typer(name="review", help="Questions of identity that wait for a person.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Questions of identity that wait for a person."""


@app.command("list")
def list_(
    territory: Annotated[str | None, typer.Option(help="Only this territory's.")] = None,
    decided: Annotated[bool, typer.Option("--decided", help="The decided ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 200,
    json: Json = False,
) -> None:
    """Oldest first. Ids and rules; what was said stays sealed."""
    from hub.people import review

    async def _read(found: App) -> list[ReviewLine]:
        return await review.reviews(found.database, territory=territory, decided=decided, limit=limit)

    lines = with_database(_read)
    if json:
        emit({"reviews": lines})
        return
    table(
        ("id", "since", "reason", "rule", "said by", "person", "against"),
        [(r.id, shown(r.at), r.reason, r.rule, r.source, r.person, r.against) for r in lines],
    )
    for reason in sorted({r.reason for r in lines}):
        say(f"{reason}: {review.REASONS.get(reason, '')}")
