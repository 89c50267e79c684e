"""What became of one attempt, in the words of protocol.md §4 (*Ports*). Stands apart so that transports can speak them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Learned:
    """An identifier that the partner gave in its answer; settle turns it into IdentityLinked."""

    kind: str
    value: str


Kind = Literal[
    "delivered",
    "refused",
    "retry",
    "unavailable",
    "unknown_person",
    "several_matches",
    "not_started",
    "unknown",
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `after` is in seconds (Retry-After), `code` the partner's code, never its prose.

    retry = try this item again (definitely not applied); unavailable = the same, and it counts for the partner's
    pause, not for the item; unknown_person = wait for identity (several_matches = a human); not_started = the hub did
    not begin, no byte was written; unknown = it may have been applied.
    """

    kind: Kind
    code: str | None = None
    after: float | None = None
    ack: str | None = None
    learned: tuple[Learned, ...] = ()


Found = Literal["applied", "not_there", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the partner says became of a message that may have reached it."""

    found: Found
    ack: str | None = None
    code: str | None = None
