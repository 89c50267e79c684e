"""How commands reach the database: start what is missing of it, bring it up to date, do one thing, let go."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from hub.cli.output import Exit, fail
from hub.cli.parts import with_parts

if TYPE_CHECKING:
    from hub.app import App

_Result = TypeVar("_Result")


def with_database(work: Callable[[App], Awaitable[_Result]], parts: Sequence[str] = ("postgres",)) -> _Result:
    """Run `work` with an App whose database is migrated; only the named parts are started for it."""
    from hub.app import App
    from hub.settings import Settings

    async def _run() -> _Result:
        app = App(settings)
        try:
            await app.prepare()
            return await work(app)
        finally:
            await app.database.dispose()

    settings = with_parts(Settings(), parts)
    return asyncio.run(_run())


async def the_territory(app: App, named: str | None) -> str:
    """The territory asked for, or the only one that is configured. Ends the command when that is not clear."""
    from hub.rights import store

    if named is not None:
        return named
    known = await store.territories(app.database)
    if len(known) != 1:
        raise fail(f"say --territory; configured: {', '.join(known) or 'none'}", Exit.USAGE)
    return known[0]


def author() -> str:
    """Who is in the log until there are accounts: the operating system's user."""
    return getpass.getuser()


def today() -> date:
    """The day in the territory's time."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo("Europe/Paris")).date()
