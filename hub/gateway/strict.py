"""JSON from outside, read so that there is one way to understand it: bounded, no duplicate keys, no NaN, no lone surrogates.

What `json` would let pass or die of is refused here with a sentence; texts carry no values, which may be personal.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

MAX_DEPTH = 32
MAX_WHOLE = 2**63

# C0 and C1 controls (PostgreSQL refuses NUL, logs break on the others) and lone surrogates (no UTF-8 holds them).
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class NotJson(ValueError):
    """The body is not JSON as this door takes it. `pointer` is an RFC 6901 pointer where the place is known."""

    def __init__(self, rule: str, pointer: str = "") -> None:
        super().__init__(rule)
        self.rule, self.pointer = rule, pointer


def parse(raw: bytes) -> Any:
    """The value of a UTF-8 JSON text. Raises NotJson."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_whole,
        )
    except RecursionError:
        raise NotJson(f"is nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON: line {error.lineno}, column {error.colno}") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJson("has an object that names a key twice")
    return found


def _constant(_: str) -> Any:
    raise NotJson("holds NaN or Infinity, which are not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise NotJson("holds a number too large to keep")
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or not -MAX_WHOLE <= int(text) < MAX_WHOLE:
        raise NotJson("holds a whole number of more than 64 bits")
    return int(text)


def _check(value: Any) -> None:
    """Depth and characters, without recursion."""
    waiting: list[tuple[Any, str, int]] = [(value, "", 1)]
    while waiting:
        item, pointer, depth = waiting.pop()
        if isinstance(item, str):
            if _UNFIT.search(item):
                raise NotJson("holds a control character or half a character", pointer)
        elif isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                raise NotJson(f"is nested deeper than {MAX_DEPTH}")
            if isinstance(item, dict):
                if any(_UNFIT.search(key) for key in item):
                    raise NotJson("holds a key with a control character or half a character", pointer)
                below = [(inner, f"{pointer}/{token(key)}", depth + 1) for key, inner in item.items()]
            else:
                below = [(inner, f"{pointer}/{n}", depth + 1) for n, inner in enumerate(item)]
            waiting.extend(below)


def token(key: object) -> str:
    """One step of a JSON pointer. A key that does not look like a name could be a value put in the wrong place: `?`."""
    text = str(key)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text) or re.search(r"[0-9]{6}", text):
        return "?"
    return text
