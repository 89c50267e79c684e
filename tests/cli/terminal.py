"""Commands run as an administrator would, against a test's hub, in a thread beside the test's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from hub.cli import app
from tests.hubs import World


@dataclass
class Terminal:
    """`run` gives click's result, `json` the object that `--json` prints (and asserts the exit code)."""

    world: World

    async def run(self, *arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [str(a) for a in arguments])

    async def json(self, *arguments: object, code: int = 0) -> Any:
        result = await self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


def terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The environment of this world, its connectors installed."""
    settings = world.app.settings
    monkeypatch.setenv("HUB_HOME", str(settings.home))
    monkeypatch.setenv("HUB_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("HUB_KAFKA", settings.kafka or "127.0.0.1:1")
    monkeypatch.setattr("hub.app.discover", _found(world))
    return Terminal(world)


def _found(world: World) -> Callable[[object], object]:
    return lambda _root: world.app.connectors
