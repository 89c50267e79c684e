"""States and reasons of deliveries in words, read from ``sentences.toml`` and ``route.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from hub.rights.route import table


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(files("hub.ledger").joinpath("sentences.toml").read_text(encoding="utf-8"))


def state(name: str) -> str:
    """A state as a heading."""
    return _document()["states"][name]


def why(state: str, reason: str | None) -> str:
    """What a reason of a waiting, human or withheld delivery means; empty when it has no sentence."""
    if state == "withheld":
        return table().reasons.get(reason or "", "")
    found = _document().get(state, {}).get(reason or "", "")
    return found["why"] if isinstance(found, dict) else found


def what_to_do(reason: str | None) -> str:
    """What a person does about a delivery that needs one."""
    return _document()["human"].get(reason or "", {}).get("do", "")


def all_sentences() -> list[str]:
    """Every sentence, for translations and tests."""
    document = _document()
    human = [text for entry in document["human"].values() for text in (entry["why"], entry["do"])]
    return [
        *document["states"].values(),
        *document["waiting"].values(),
        *human,
        *table().reasons.values(),
    ]
