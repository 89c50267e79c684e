"""The command `hub`: thin wrappers, one module per noun, heavy imports inside the commands.

Exit codes: 0 ok · 1 error · 2 usage · 3 unaccounted · 4 refused by policy."""

from __future__ import annotations

import typer

from hub.cli import (
    bench,
    connector,
    delivery,
    demo,
    event,
    finding,
    import_,
    key,
    partner,
    parts,
    privacy,
    reconcile,
    review,
    run,
    schema,
    territory,
    why,
)

app = typer.Typer(
    name="hub",
    help="The SPIE hub. Exit codes: 0 ok, 1 error, 2 usage, 3 unaccounted, 4 refused by policy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)

# bare verbs, only for the whole hub
app.command("up")(parts.up)
app.command("down")(parts.down)
app.command("doctor")(parts.doctor)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("import")(import_.import_)
app.command("why")(why.why)
app.command("reconcile")(reconcile.reconcile)
# nouns
app.add_typer(bench.app, name="bench")
app.add_typer(connector.app, name="connector")
app.add_typer(delivery.app, name="delivery")
app.add_typer(event.app, name="event")
app.add_typer(finding.app, name="finding")
app.add_typer(key.app, name="key")
app.add_typer(partner.app, name="partner")
app.add_typer(privacy.app, name="privacy")
app.add_typer(review.app, name="review")
app.add_typer(schema.app, name="schema")
app.add_typer(territory.app, name="territory")


def main() -> None:
    """Entry point of the command `hub`."""
    app()
