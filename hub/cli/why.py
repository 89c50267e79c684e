"""`hub why EVENT PARTNER`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import with_database
from hub.cli.output import Json, emit, reported, say
from hub.cli.times import shown

if TYPE_CHECKING:
    from hub.app import App
    from hub.ledger.why import Explanation


def why(
    event: Annotated[str, typer.Argument(help="Event id (UUID) or number.")],
    partner: Annotated[str, typer.Argument(help="Partner id.")],
    json: Json = False,
) -> None:
    """Why a partner got an event, or did not: the chain of decisions from accept to the last answer."""
    from hub.ledger import sentences
    from hub.ledger import why as ledger

    async def _read(found: App) -> Explanation:
        return await ledger.why(found.database, event, partner)

    with reported(LookupError):
        found = with_database(_read)
    if json:
        emit(found)
        return
    for step in found.steps:
        typer.echo(f"{shown(step.at) or '—':<24} {step.what}")
        for name, value in step.details.items():
            if value is not None:
                typer.echo(f"{'':<24}   {name}: {_shown(value)}")
    reason = sentences.why(found.outcome, found.reason)
    say(f"{found.outcome}{f' ({found.reason})' if found.reason else ''}{f': {reason}' if reason else ''}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return " ".join(_shown(item) for item in value)
    return str(value)
