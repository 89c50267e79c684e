"""`hub bench deliver`, `hub bench file`: figures of one run on parts of its own, invented data only."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.output import Json, emit, reported, say, table

app = typer.Typer(help="Measure speed and memory on parts of its own.", no_args_is_help=True)


@app.command("deliver")
def deliver(
    events: Annotated[
        int, typer.Option(min=1, help="Events per round; each goes to four partners.")
    ] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the report holds medians.")] = 3,
    json: Json = False,
) -> None:
    """Accept, topic, dispatch and four partners, beside a bare Kafka loop and a job queue."""
    import uvloop

    from hub.dev.bench.deliver import BenchFailed
    from hub.dev.bench.deliver import deliver as measure
    from hub.dev.bench.place import own_parts
    from hub.dev.embedded.artifacts import PartFailed

    with reported(BenchFailed, PartFailed):
        with own_parts() as place:
            report = uvloop.run(measure(place, events, rounds, 100_000, say))
    if json:
        emit(report)
    else:
        _show(report)


@app.command("file")
def file(
    households: Annotated[int, typer.Option(min=10, help="Households in the monthly file.")] = 43_300,
    changed: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share that changes in the second month.")
    ] = 0.02,
    json: Json = False,
) -> None:
    """A monthly CNAF file: baseline, a month with changes, the same file again; seconds and peak memory of each."""
    import asyncio

    from hub.dev.bench.file import ImportFailed, measure
    from hub.dev.bench.place import own_parts
    from hub.dev.embedded.artifacts import PartFailed

    with reported(ImportFailed, PartFailed):
        with own_parts(("postgres",)) as place:
            report = asyncio.run(measure(place, households, changed, say))
    if json:
        emit(report)
    else:
        table(
            ("import", "seconds", "peak MiB", "households", "events", "rejects"),
            [(i.name, i.seconds, i.peak_rss_mib, i.households, i.events, i.rejects) for i in report.imports],
        )


def _show(report: object) -> None:
    from dataclasses import asdict

    table(("figure", "value"), [(name, value) for name, value in asdict(report).items()])
