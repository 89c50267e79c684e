"""What came back from one HTTP exchange, and what it says about the message: applied, certainly not, or unknown.

The line that matters is protocol.md §4 (*Settle*): only what is *definitely not applied* may be tried again freely.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec

from hub.sdk.outcome import Outcome

Reason = Literal[
    "bad_url",
    "no_time_left",
    "connect_timeout",
    "connect",
    "refused",
    "dns",
    "tls",
    "token",
    "deadline",
    "broken",
    "answer",
]


@dataclass(frozen=True, slots=True)
class Reply:
    """A status line arrived. `headers` have lower-case names. `cut` says that the body is incomplete: larger than the
    cap, or broken off; the status stands all the same."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False

    def json(self) -> Any:
        """The body as JSON, or None when it is cut or is none (an empty body too)."""
        if self.cut:
            return None
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Fault:
    """No status line arrived, or (reason "answer", of those who read) no answer that can be used. `started`: bytes of the
    request may have left this machine. `after` in seconds, `code` the status or the partner's code."""

    reason: Reason
    started: bool
    after: float | None = None
    code: str | None = None


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` (with zone) by a Retry-After header: seconds or an HTTP date (RFC 9110 §10.2.3); a past date is
    0, anything else None."""
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def clean_code(value: object) -> str | None:
    """A partner's code if it looks like one, else None: prose may name a person and must not reach the ledger."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


# The request was understood by somebody who is not the partner's application, or not yet by it: the address, the
# credentials or the partner's state must be mended, no item of ours is to blame and none may be closed over it.
_NOT_THE_ITEM = frozenset({401, 403, 404, 405, 407, 410, 421})
_LATER = frozenset({425, 429})
_MAY_HAVE_ARRIVED = frozenset({408})


def outcome_of(
    answer: Reply | Fault, *, now: datetime, code: str | None = None, ack: str | None = None
) -> Outcome:
    """The outcome that holds for a partner of whom nothing else is known. `code` is the partner's own code, if it gave
    one; `ack` its acknowledgement, kept on success.

    429 = retry, 503 = unavailable, both with Retry-After; other 5xx = unknown (an application that failed half-way may
    have applied it); a redirect is never followed; wrong address or credentials pause the partner instead of closing
    items; any other 4xx refuses the item. A connection that was never made is *unavailable*: certainly not applied, and
    it counts for the partner's pause.
    """
    if isinstance(answer, Fault):
        return _of_fault(answer)
    status, code = answer.status, code or f"http_{answer.status}"
    after = retry_after(answer.headers.get("retry-after"), now)
    if 200 <= status < 300:
        return Outcome("delivered", ack=ack)
    if status in _LATER:
        return Outcome("retry", code, after)
    if status == 503 or status in _NOT_THE_ITEM or 300 <= status < 400:
        return Outcome("unavailable", code, after)
    if 400 <= status < 500 and status not in _MAY_HAVE_ARRIVED:
        return Outcome("refused", code)
    return Outcome("unknown", code, after)


def _of_fault(fault: Fault) -> Outcome:
    if fault.started:
        return Outcome("unknown", fault.reason)
    if fault.reason == "no_time_left":
        return Outcome("not_started", fault.reason)
    return Outcome("unavailable", fault.reason, fault.after)
