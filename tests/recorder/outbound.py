"""Translate keeps every field of the view; `send` applies to an in-memory partner and answers by its programme."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from hub.sdk.outbound import Attempt, EventView, Lookup, Message, Nothing, Outcome, Recipient


@dataclass
class FakePartner:
    """`applied` holds (idempotency key, record, reference) in the order in which effects happened; `programme` what the
    next sends do: an Outcome, or "lost" (applied, answer lost)."""

    applied: list[tuple[str, str, str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    programme: deque[Any] = field(default_factory=deque)
    looked_up: int = 0
    hold: asyncio.Event | None = None

    def known_keys(self) -> list[str]:
        return [key for key, _, _ in self.applied]

    def apply(self, attempt: Attempt, message: Message) -> None:
        if attempt.idempotency_key not in self.known_keys():
            self.applied.append((attempt.idempotency_key, message.action, attempt.recipient.reference))


PARTNERS: dict[str, FakePartner] = defaultdict(FakePartner)
BUGS: dict[str, Callable[[EventView], None]] = {}


def translate(view: EventView, recipient: Recipient) -> Message | Nothing:
    """Everything that the view shows; a bug may be planted per partner."""
    if recipient.partner in BUGS:
        BUGS[recipient.partner](view)
    return Message(view.record, {"event": view.event_id, "fields": _plain(view.fields)})


async def send(message: Message, attempt: Attempt) -> Outcome:
    """By the programme; without one it is applied and acknowledged."""
    partner = PARTNERS[attempt.recipient.partner]
    partner.sent.append(attempt.idempotency_key)
    if partner.hold is not None:
        await partner.hold.wait()
    step = partner.programme.popleft() if partner.programme else Outcome("delivered")
    if step == "lost":
        partner.apply(attempt, message)
        return Outcome("unknown", "answer_lost")
    if step.kind == "delivered":
        partner.apply(attempt, message)
    return step


async def look_up(message: Message, attempt: Attempt) -> Lookup:
    """Whether the key was applied."""
    partner = PARTNERS[attempt.recipient.partner]
    partner.looked_up += 1
    return Lookup("applied" if attempt.idempotency_key in partner.known_keys() else "not_there")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, (date, datetime, UUID)) else value
