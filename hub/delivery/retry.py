"""What an attempt's outcome makes of its delivery: pure, by the table of protocol.md §4 (*Settle*, *Retry*)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from hub.sdk.manifest import Outbound
from hub.sdk.outbound import Lookup, Outcome


@cache
def rules() -> dict:
    """The parsed ``retry.toml``; times in seconds."""
    return tomllib.loads(files("hub.delivery").joinpath("retry.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a delivery stands when its attempt ends.

    `marked_for` is how long ago it was marked (seconds), `waits_for_identity` since when it waits for an identifier
    (seconds), None when it does not; `marked_by` the attempt that set the mark.
    """

    attempt: int
    tries: int
    marked_by: int
    marked_for: float
    waits_for_identity: float | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the row becomes. `due_in` is in seconds from now (None = no due); the row's lease is a lower bound of it
    while the mark stays. `unavailable` counts for the partner's pause."""

    state: Literal["delivered", "refused", "waiting", "human"]
    reason: str | None = None
    code: str | None = None
    due_in: float | None = None
    tries: int = 0
    unmark: bool = False
    ack: str | None = None
    unavailable: bool = False


def delay(tries: int, random: Callable[[], float]) -> float | None:
    """Seconds to the next try after `tries` tries (from 1), ± 20 %; None when day 7 is reached."""
    table = rules()
    steps, every, until = table["steps"], table["then_every"], table["until"]
    if tries <= len(steps):
        step = steps[tries - 1]
    elif sum(steps) + (tries - len(steps)) * every <= until:
        step = every
    else:
        return None
    return step * (1 + table["jitter"] * (2 * random() - 1))


def settlement(
    at: Standing, outcome: Outcome | Lookup, manifest: Outbound, random: Callable[[], float]
) -> Settlement:
    """Decide. A look-up's answer is an outcome too: applied = delivered, not there = the mark goes and it is tried again."""
    if isinstance(outcome, Lookup):
        return _after_look_up(at, outcome, manifest, random)
    own_mark = at.marked_by == at.attempt
    match outcome.kind:
        case "delivered":
            return Settlement("delivered", code=outcome.code, tries=at.tries, unmark=True, ack=outcome.ack)
        case "refused":
            return _refused(at, outcome, manifest, own_mark)
        case "retry":
            return _again(at, outcome, random, unmark=own_mark)
        case "unavailable":
            wait = outcome.after if outcome.after is not None else rules()["unavailable"]
            wait = min(wait, rules()["retry_after_at_most"])
            return Settlement(
                "waiting", "retry", outcome.code, wait, at.tries, unmark=own_mark, unavailable=True
            )
        case "not_started":
            return Settlement(
                "waiting", "retry", outcome.code, outcome.after or 0.0, at.tries, unmark=own_mark
            )
        case "unknown_person":
            return _unknown_person(at, outcome, own_mark)
        case "several_matches":
            return Settlement("human", "several_matches", outcome.code, tries=at.tries, unmark=own_mark)
        case _:
            return _unknown(at, outcome, manifest, random)


def _refused(at: Standing, outcome: Outcome, manifest: Outbound, own_mark: bool) -> Settlement:
    """A refusal closes the item and the lane goes on, unless the partner's code table says that it blocks."""
    code = outcome.code or ""
    if code in manifest.code_actions:
        return Settlement("human", manifest.code_actions[code], code, tries=at.tries, unmark=own_mark)
    if code in manifest.blocking_codes:
        return Settlement("human", "blocked_code", code, tries=at.tries, unmark=own_mark)
    return Settlement("refused", None, code, tries=at.tries, unmark=own_mark)


def _again(at: Standing, outcome: Outcome, random: Callable[[], float], *, unmark: bool) -> Settlement:
    tries = at.tries + 1
    wait = delay(tries, random)
    if wait is None:
        return Settlement("human", "retries_exhausted", outcome.code, tries=tries, unmark=unmark)
    if outcome.after is not None:
        wait = min(outcome.after, rules()["retry_after_at_most"])
    return Settlement("waiting", "retry", outcome.code, wait, tries, unmark=unmark)


def _unknown_person(at: Standing, outcome: Outcome, own_mark: bool) -> Settlement:
    table = rules()
    if (at.waits_for_identity or 0.0) >= table["identity_for"]:
        return Settlement("human", "no_identifier", outcome.code, tries=at.tries, unmark=own_mark)
    return Settlement("waiting", "identity", outcome.code, table["identity_every"], at.tries, unmark=own_mark)


def _unknown(at: Standing, outcome: Outcome, manifest: Outbound, random: Callable[[], float]) -> Settlement:
    """It may have been applied: the same key again while the partner remembers it, look up first, or a human."""
    if manifest.unknown_outcome == "none":
        return Settlement("human", "unknown_outcome", outcome.code, tries=at.tries)
    again = _again(at, outcome, random, unmark=False)
    if manifest.unknown_outcome == "key":
        wait = max(again.due_in or 0.0, manifest.settles_within)
        ends = at.marked_for + wait + manifest.deadline + manifest.settles_within
        if ends > manifest.key_lifetime:
            return Settlement("human", "unknown_outcome", outcome.code, tries=at.tries)
    return again


def _after_look_up(
    at: Standing, found: Lookup, manifest: Outbound, random: Callable[[], float]
) -> Settlement:
    match found.found:
        case "applied":
            return Settlement("delivered", code=found.code, tries=at.tries, unmark=True, ack=found.ack)
        case "not_there":
            return Settlement("waiting", "retry", found.code, 0.0, at.tries, unmark=True)
        case _ if found.code in manifest.code_actions:
            # the partner shows something else in its place: asking again will not tell more
            return Settlement("human", manifest.code_actions[found.code], found.code, tries=at.tries)
        case _:
            return _again(at, Outcome("retry", found.code), random, unmark=False)
