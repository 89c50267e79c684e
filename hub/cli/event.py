"""`hub event list | show ID`: what was accepted. Clear fields only; sealed blocks stay sealed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import with_database
from hub.cli.output import Json, emit, reported, say, table
from hub.cli.times import moment, shown

if TYPE_CHECKING:
    from hub.app import App
    from hub.ledger.listing import Event, EventLine, Page

app = typer.Typer(name="event", help="Accepted events: list, show one.", no_args_is_help=True)


@app.command("list")
def list_(
    record: Annotated[str | None, typer.Option(help="Only this record, e.g. NewRsaEntrant.")] = None,
    partner: Annotated[str | None, typer.Option(help="Only events that this partner sent.")] = None,
    since: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Accepted at or after.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Go on below this number (the `next` of a page).")
    ] = None,
    json: Json = False,
) -> None:
    """Newest first."""
    from hub.ledger import listing

    async def _read(found: App) -> Page[EventLine]:
        return await listing.events(
            found.database, record=record, emitter=partner, since=since, before=before, limit=limit
        )

    page = with_database(_read)
    if json:
        emit({"events": page.items, "next": page.next})
        return
    table(
        ("no", "id", "record", "from", "flow", "accepted", "on its way"),
        [
            (e.no, e.id, e.record, e.emitter, e.flow, shown(e.accepted_at), _way(e.published, e.routed))
            for e in page.items
        ],
    )
    if page.next:
        say(f"more: --before {page.next}")


def _way(published: bool, routed: bool) -> str:
    if routed:
        return "routed" if published else "routed, not published"
    return "published, not routed" if published else "not published"


@app.command()
def show(
    event: Annotated[str, typer.Argument(metavar="ID", help="Event id (UUID) or number.")],
    json: Json = False,
) -> None:
    """One event: clear fields, way, and its deliveries."""
    from hub.ledger import listing

    async def _read(found: App) -> Event:
        return await listing.event(found.database, found.codec, event)

    with reported(listing.NotFound):
        found = with_database(_read)
    if json:
        emit(found)
    else:
        _show(found)


def _show(event: Event) -> None:
    sealed = ", ".join(f"{name} ({size} bytes, sealed)" for name, size in event.sealed.items())
    table(
        ("", ""),
        [
            ("event", f"{event.no}  {event.id}"),
            ("record", f"{event.record} v{event.version}"),
            ("from", f"{event.emitter} ({event.flow}), id {event.source_event_id}"),
            ("person", event.person),
            ("journey", event.journey),
            ("happened", shown(event.occurred_at)),
            ("accepted", shown(event.accepted_at)),
            (
                "published",
                f"{shown(event.published_at)}  {event.place}" if event.published_at else "not yet",
            ),
            (
                "routed",
                f"{shown(event.routed_at)}  under configuration {event.configuration}"
                if event.routed_at
                else "not yet",
            ),
            ("blocks", sealed or "erased"),
        ],
    )
    if event.fields is not None:
        table(
            ("field", "value"),
            [(name, value) for name, value in event.fields.items()],
            title="\nclear fields",
        )
    table(
        ("delivery", "partner", "state", "reason", "code", "attempt"),
        [(d.id, d.partner, d.state, d.reason, d.code, d.attempt) for d in event.deliveries],
        title="\ndeliveries",
    )
