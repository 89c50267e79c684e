"""`hub delivery list | show | retry | skip | confirm`: what each partner gets, and what a person does about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.database import author, with_database
from hub.cli.output import Exit, Json, emit, fail, reported, say, table
from hub.cli.times import shown

if TYPE_CHECKING:
    from hub.app import App
    from hub.delivery.repair import Repaired
    from hub.ledger.listing import DeliveryLine, Page

app = typer.Typer(
    name="delivery",
    help="Deliveries: list, retry, skip, confirm. Exit code 4 when one is left as it is.",
    no_args_is_help=True,
)

_Ids = Annotated[list[int] | None, typer.Argument(metavar="ID…", help="Numbers of deliveries.")]
_Like = Annotated[
    int | None,
    typer.Option(
        "--all-like", metavar="ID", help="All that need a person as this one does: partner, reason, code."
    ),
]
_Reason = Annotated[str, typer.Option(help="Why; kept in the log for ever, so name no person.")]


@app.command("list")
def list_(
    partner: Annotated[str | None, typer.Option(help="Only this partner's.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, e.g. human.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Go on below this number (the `next` of a page).")
    ] = None,
    json: Json = False,
) -> None:
    """Newest first."""
    from hub.ledger import listing, sentences, states

    if state is not None and state not in states.table()["states"]:
        raise fail(
            f"there is no state {state!r}; there are {', '.join(states.table()['states'])}", Exit.USAGE
        )

    async def _read(found: App) -> Page[DeliveryLine]:
        return await listing.deliveries(
            found.database, partner=partner, state=state, reason=reason, before=before, limit=limit
        )

    page = with_database(_read)
    if json:
        emit({"deliveries": page.items, "next": page.next})
        return
    table(
        ("id", "event", "record", "partner", "state", "reason", "code", "attempt", "due", "settled"),
        [
            (
                d.id, d.no, d.record, d.partner, d.state + (" *" if d.marked else ""), d.reason, d.code, d.attempt,
                shown(d.due), shown(d.settled_at),
            )
            for d in page.items
        ],
    )  # fmt: skip
    if any(d.marked for d in page.items):
        say("* it may have reached the partner")
    for of, why in sorted({(d.state, d.reason) for d in page.items if d.reason}):
        sentence = " ".join(
            filter(None, (sentences.why(of, why), sentences.what_to_do(why) if of == "human" else ""))
        )
        if sentence:
            say(f"{why}: {sentence}")
    if page.next:
        say(f"more: --before {page.next}")


@app.command()
def retry(
    ids: _Ids = None,
    all_like: _Like = None,
    not_there: Annotated[
        bool, typer.Option("--not-there", help="I have asked the partner: it does not have it.")
    ] = False,
    json: Json = False,
) -> None:
    """Try again what needs a person. The series of tries begins anew."""
    from hub.delivery import repair

    async def _retry(found: App, chosen: list[int]) -> Repaired:
        return await repair.retry(
            found.database, await found.desk_ready(), chosen, author(), not_there=not_there
        )

    _repair("to be tried again", ids, all_like, _retry, json)


@app.command()
def skip(reason: _Reason, ids: _Ids = None, all_like: _Like = None, json: Json = False) -> None:
    """Give up what waits or needs a person; later ones of the same person and partner go on."""
    from hub.delivery import repair

    async def _skip(found: App, chosen: list[int]) -> Repaired:
        return await repair.skip(found.database, chosen, reason, author())

    _repair("skipped", ids, all_like, _skip, json)


@app.command()
def confirm(reason: _Reason, ids: _Ids = None, all_like: _Like = None, json: Json = False) -> None:
    """Say that the partner has it: a person has seen it there."""
    from hub.delivery import repair

    async def _confirm(found: App, chosen: list[int]) -> Repaired:
        return await repair.confirm(found.database, chosen, reason, author())

    _repair("confirmed as delivered", ids, all_like, _confirm, json)


def _repair(
    done: str,
    ids: list[int] | None,
    all_like: int | None,
    work: Callable[[App, list[int]], Awaitable[Repaired]],
    json: bool,
) -> None:
    from hub.delivery import repair

    if bool(ids) == (all_like is not None):
        raise fail("name deliveries by their numbers, or one of them with --all-like", Exit.USAGE)

    async def _work(found: App) -> Repaired:
        chosen = ids or await repair.like(found.database, all_like or 0)
        return await work(found, chosen)

    with reported(repair.NoSuchDelivery, repair.BadReason):
        result = with_database(_work)
    if json:
        emit({"done": result.done, "refused": {str(id): why for id, why in result.refused.items()}})
    else:
        if result.done:
            say(f"{done}: {', '.join(map(str, result.done))}")
        elif not result.refused:
            say("nothing to do")
        for id, why in result.refused.items():
            say(f"delivery {id} stays as it is: {why}")
    if result.refused:
        raise typer.Exit(Exit.REFUSED)
