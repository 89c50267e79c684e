"""Everything that the view shows as a JSON-like body; sending it costs nothing and always succeeds."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from hub.sdk.outbound import Attempt, EventView, Message, Outcome, Recipient

DELIVERED = Outcome("delivered")


def translate(view: EventView, recipient: Recipient) -> Message:
    """The view's fields with dates and ids as text, under the person's outward reference."""
    return Message(
        view.record, {"event": view.event_id, "person": recipient.reference, "fields": plain(view.fields)}
    )


async def send(message: Message, attempt: Attempt) -> Outcome:
    """Delivered."""
    return DELIVERED


def plain(value: Any) -> Any:
    """Dates, times and ids as text."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, (date, UUID)) else value
