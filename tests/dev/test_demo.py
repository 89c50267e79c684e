"""`hub demo --once` as somebody would run it: the whole hub, its twins, two months, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.app import ROOT
from hub.dev.embedded import parts
from hub.settings import Settings
from tests.conftest import new_home

pytestmark = pytest.mark.stack


@pytest.fixture
def home() -> Iterator[Path]:
    made = new_home()
    yield made
    parts.remove(Settings(home=made, database_url=None, kafka=None))


def environment(home: Path) -> dict[str, str]:
    """The session's, without anything that leads to another hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return kept | {"HUB_HOME": str(home)}


def run(home: Path, *arguments: str) -> tuple[int, dict]:
    """Exit code and the object on stdout; a command that takes too long is asked to end what it started."""
    command = [sys.executable, "-m", "hub", *arguments, "--json"]
    with subprocess.Popen(
        command, env=environment(home), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            out, _ = running.communicate(timeout=500)
        except subprocess.TimeoutExpired:
            running.terminate()
            raise
    return running.returncode, json.loads(out)


@pytest.mark.timeout(600)
def test_the_demo_accounts_for_every_event_and_leaves_nothing_running(home: Path) -> None:
    code, told = run(home, "demo", "--once", "--people", "40")
    assert (code, told["late"], told["unaccounted"]) == (0, [], 0), told["reconciliation"]["findings"]
    assert told["reconciliation"]["scanned"] == told["events"] > 150

    delivered = told["delivered"]
    assert all(delivered[partner] > 0 for partner in ("p7601", "p7602", "p7603", "p7614", "p7615")), delivered
    assert sum(n > 0 for n in delivered.values()) >= 6

    partners = told["partners"]
    decided = partners["p7602"]["OrientationDecided"]
    assert (decided["human(several_matches)"], decided["human(blocked_code)"]) == (1, 1)
    assert decided["waiting(identity)"] >= 1
    assert partners["p7603"]["MeasureRequested"]["withheld(sensitive_measure)"] >= 1
    assert partners["p7612"]["OrientationDecided"].keys() == {"withheld(no_agreement)"}
    assert told["did"]["structure answered REFUSÉE"] >= 1
    assert told["rejected"] == 3
    assert told["echoes"] >= 1
    assert told["reviews"] >= 1

    assert json.loads((home / "demo.json").read_text(encoding="utf-8")) == {}
    assert [
        p.name for p in parts.status(Settings(home=home, database_url=None, kafka=None)) if p.running
    ] == []

    event, partner = told["try"][0].split()[-2:]
    assert run(home, "why", event, partner)[1]["reason"] == "sensitive_measure"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "master.key"
    kept.write_text("not the demo's")
    command = [sys.executable, "-m", "hub", "demo", "--once"]
    refused = subprocess.run(command, env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "something else" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]
