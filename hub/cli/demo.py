"""`hub demo`: invented data through the whole hub, with twins for partners."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.output import Exit, Json, emit, reported, say


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop when all has come to rest.")] = False,
    people: Annotated[
        int, typer.Option(min=40, max=5000, help="Adults in the first month's file, about.")
    ] = 60,
    json: Json = False,
) -> None:
    """Run the whole hub on invented data, with parts of its own, in HUB_HOME (default .hub/demo), which is emptied first.

    Exit code 3 when something is unaccounted for or was not delivered although it should be."""
    from hub.dev.demo.ending import as_json
    from hub.dev.demo.place import DemoFailed, NotADemo
    from hub.dev.demo.run import main
    from hub.dev.embedded.artifacts import PartFailed
    from hub.dev.embedded.parts import InUse
    from hub.rights.configuration import ConfigurationError

    home = Path(os.environ.get("HUB_HOME") or ".hub/demo").expanduser().resolve()
    try:
        with reported(NotADemo, DemoFailed, InUse, PartFailed, ConfigurationError):
            ended = main(home, people, once=once or json, quiet=json)
    except KeyboardInterrupt:
        say("ended before it was finished; nothing of it runs any more")
        raise typer.Exit(130) from None
    if json:
        emit(as_json(ended, home))
    if not ended.good:
        raise typer.Exit(Exit.UNACCOUNTED)
