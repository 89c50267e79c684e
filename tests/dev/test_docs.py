"""The README and docs name tests, files and settings that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.app import ROOT
from hub.settings import Settings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LINK = re.compile(r"\]\(([^)#]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short_and_what_it_points_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    missing = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    missing += [
        f"{file}::{name}"
        for file, name in _TEST.findall(text)
        if not (ROOT / file).is_file() or f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_invariant_that_is_built_has_its_tests() -> None:
    rows = re.findall(
        r"^\| (\d+) \|(.*)$", (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"), re.M
    )
    assert [int(number) for number, _ in rows] == [*range(1, 10), 12, 16, 17, 18]
    assert all(_TEST.search(row) for _, row in rows)


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = {f"HUB_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in names if name not in text} == set()


def test_the_commands_of_the_readme_are_commands() -> None:
    from typer.main import get_command

    from hub.cli import app

    known = set(get_command(app).commands)
    named = {
        word for page in PAGES for word in re.findall(r"(?:bin/|`)hub ([a-z]+)", page.read_text("utf-8"))
    }
    assert named - {"at"} <= known
