"""`hub up`, `hub down`, `hub doctor`: the embedded PostgreSQL and Kafka of one HUB_HOME."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from hub.cli.output import Exit, Json, emit, reported, say, table

if TYPE_CHECKING:
    from hub.settings import Settings


def up(json: Json = False) -> None:
    """Start the embedded parts in the background and wait until they answer."""
    from hub.dev.embedded import parts
    from hub.settings import Settings

    settings = Settings()
    with reported(parts.InUse, parts.PartFailed):
        parts.start(settings)
    _show(settings, json)


def down(json: Json = False) -> None:
    """Stop the embedded parts; their data stays."""
    from hub.dev.embedded import parts
    from hub.settings import Settings

    settings = Settings()
    with reported(parts.InUse):
        stopped = parts.stop(settings)
    if json:
        emit({"stopped": stopped})
    else:
        say(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def doctor(json: Json = False) -> None:
    """Check this machine, the parts and the database's settings; exit 1 when something must be changed."""
    from hub.dev.embedded import doctor
    from hub.settings import Settings

    findings = doctor.examine(Settings())
    if json:
        emit({"findings": findings})
    else:
        marks = {True: "ok", False: "WRONG", None: "-"}
        table(
            ("check", "", "found", "what to do"),
            [(f.check, marks[f.ok], f.found, f.advice) for f in findings],
        )
    if any(f.ok is False for f in findings):
        raise typer.Exit(Exit.ERROR)


def with_parts(settings: Settings, names: Sequence[str] = ("postgres", "kafka")) -> Settings:
    """`settings` with the addresses of the parts a command needs; what does not run yet is started and stays up.

    Ends the command with a message when a part cannot be had."""
    from hub.dev.embedded import parts

    with reported(parts.InUse, parts.PartFailed):
        try:
            found = parts.attach(settings, names)
        except parts.NotRunning:
            found = parts.start(settings, names)
    return found.settings(settings)


def _show(settings: Settings, json: bool) -> None:
    from hub.dev.embedded import parts

    found = parts.status(settings)
    if json:
        emit({"home": settings.home, "parts": found})
        return
    rows = [
        (s.name, f"127.0.0.1:{s.port}" if s.embedded else "outside (set by HUB_*)", s.pid, _clock(s.since))
        for s in found
    ]
    table(("part", "address", "pid", "since"), rows, title=f"hub at {settings.home}")


def _clock(since: float | None) -> str | None:
    return None if since is None else datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
