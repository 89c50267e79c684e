"""What the gateway asks of the application: the parts of one process, wired elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from hub.delivery.desk import Desk
from hub.intake.accept import Acceptor
from hub.log.registry import FileRegistry, Topic
from hub.settings import Settings


class Parts(Protocol):
    """The application as the gateway sees it (`hub.app.App` is one)."""

    @property
    def settings(self) -> Settings: ...

    @property
    def database(self) -> AsyncEngine: ...

    @property
    def desk(self) -> Desk: ...

    @property
    def registry(self) -> FileRegistry: ...

    @property
    def acceptor(self) -> Acceptor: ...

    @property
    def topics(self) -> Mapping[str, Topic]: ...

    async def desk_ready(self) -> Desk: ...
