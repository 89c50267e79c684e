"""Whether the database's schema is the one that this release was written for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.database import scalar


@cache
def head() -> str | None:
    """The newest migration of this release."""
    return ScriptDirectory(str(Path(__file__).parent / "migrations")).get_current_head()


async def found(connection: AsyncConnection) -> str | None:
    """The migration that the database stands at; None before the first one."""
    if await scalar(connection, "select to_regclass('alembic_version')") is None:
        return None
    return await scalar(connection, "select version_num from alembic_version")
