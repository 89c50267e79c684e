"""The delivery states, read from ``states.toml`` so that code, trigger, tests and docs say the same."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


@cache
def table() -> dict:
    """The parsed ``states.toml``."""
    return tomllib.loads(files("hub.ledger").joinpath("states.toml").read_text(encoding="utf-8"))


def transitions() -> list[tuple[str, str]]:
    """Every allowed (from, to)."""
    return [(name, to) for name, state in table()["states"].items() for to in state["to"]]


def initial() -> frozenset[str]:
    """The states in which a row may be born."""
    return frozenset(table()["initial"])


def open_states() -> frozenset[str]:
    """The states that make an item part of its lane."""
    return frozenset(name for name, state in table()["states"].items() if state["open"])


def reasons(state: str) -> frozenset[str]:
    """The closed list of reasons of a state; empty when it has none."""
    return frozenset(table()["states"][state].get("reasons", ()))
