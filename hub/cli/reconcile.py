"""`hub reconcile`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import with_database
from hub.cli.output import Exit, Json, emit, fail, table
from hub.cli.times import age

if TYPE_CHECKING:
    from hub.app import App
    from hub.ledger.reconcile import Reconciliation


def reconcile(
    scan: Annotated[
        bool, typer.Option("--scan", help="Read the topics too, and publish again what they have lost.")
    ] = False,
    json: Json = False,
) -> None:
    """Prove that every event is accounted for. Exit code 3 when one is not."""
    result = with_database(_with_scan if scan else _without, ("postgres", "kafka") if scan else ("postgres",))
    if json:
        emit(result)
    else:
        _show(result)
    if result.unaccounted:
        raise typer.Exit(Exit.UNACCOUNTED)


async def _without(found: App) -> Reconciliation:
    from hub.ledger.reconcile import reconcile

    return await reconcile(found.database)


async def _with_scan(found: App) -> Reconciliation:
    from aiokafka.errors import KafkaError

    from hub.ledger.reconcile import reconcile
    from hub.log.scan import scan

    try:
        return await reconcile(found.database, scan(found.settings.kafka, sorted(found.topics)))
    except KafkaError as error:
        raise fail(f"the broker does not answer ({type(error).__name__}): the log was not read") from None


def _show(result: Reconciliation) -> None:
    typer.echo(
        f"{result.events} events: {result.published} published, {result.routed} routed; {result.deliveries} deliveries"
    )
    if result.unpublished or result.unrouted:
        typer.echo(
            f"on their way: {result.unpublished} to be published, {result.unrouted} to be routed"
            f" (the oldest for {age(result.oldest_unrouted_seconds)})"
        )
    if result.scanned is not None:
        typer.echo(
            f"{result.scanned} records read from the log, {result.repeated} of them repeated; {result.republished} lost and "
            "to be published again"
        )
    table(("state", "deliveries"), sorted(result.states.items()))
    if result.waiting:
        table(
            ("partner", "state", "reason", "deliveries", "oldest"),
            [(w.partner, w.state, w.reason, w.count, age(w.oldest_seconds)) for w in result.waiting],
            title="\nopen, and accounted for",
        )
    if result.findings:
        table(
            ("check", "what", "event", "partner", "place"),
            [(f.check, f.what, f.event, f.partner, f.place) for f in result.findings],
            title="\nnot accounted for"
            + (" (the first ones)" if result.unaccounted > len(result.findings) else ""),
        )
    typer.echo(f"unaccounted: {result.unaccounted}")
