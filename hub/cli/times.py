"""Times at the terminal: shown in the territory's time with its zone, read in it when they name none."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import typer

PARIS = ZoneInfo("Europe/Paris")


def shown(at: datetime | None) -> str:
    """2026-03-05 08:30:00 CET; empty for None."""
    return f"{at.astimezone(PARIS):%Y-%m-%d %H:%M:%S %Z}" if at else ""


def moment(text: str) -> datetime:
    """An ISO day or time; without zone it is the territory's. For typer's `parser`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "write a day or a time, e.g. 2026-03-05, 2026-03-05T08:30 or 2026-03-05T07:30:00Z"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=PARIS)


def age(seconds: int) -> str:
    """How long, short: 45 s, 12 min, 3 h, 2 d."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
