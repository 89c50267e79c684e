"""Everything that the view shows, by HTTP with an idempotency key; the partner can be asked whether it applied a key."""

from __future__ import annotations

from hub.sdk.outbound import Attempt, EventView, Lookup, Message, Nothing, Outcome, Recipient
from hub.sdk.transports import Reply, outcome_of


def translate(view: EventView, recipient: Recipient) -> Message | Nothing:
    """Record and event; who it is about only by the outward reference."""
    return Message(view.record, {"event": view.event_id, "no": view.sequence, "who": recipient.reference})


async def send(message: Message, attempt: Attempt) -> Outcome:
    reply = await attempt.http.request(
        "POST",
        f"{attempt.recipient.settings['url']}/apply",
        json=message.body,
        headers={"idempotency-key": attempt.idempotency_key},
    )
    return outcome_of(reply, now=attempt.http.clock())


async def look_up(message: Message, attempt: Attempt) -> Lookup:
    reply = await attempt.http.request(
        "GET", f"{attempt.recipient.settings['url']}/applied/{attempt.idempotency_key}"
    )
    if not isinstance(reply, Reply) or reply.status not in (200, 404):
        return Lookup("cannot_tell")
    return Lookup("applied" if reply.status == 200 else "not_there")
