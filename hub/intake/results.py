"""What accept gets and answers, per item."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from hub.sdk.inbound import Draft

#: The arrival of a file is a field of what it says (the six weeks run from it) and is kept over repeats: no other fact.
_ARRIVAL = frozenset({"information_received_on"})


@dataclass(frozen=True, slots=True)
class Incoming:
    """One item. A sender that gives its own event id (HTTP) gives the canonical bytes of its body too; else the id
    derives from the draft's key, and the fact (record, own fields, sensitive block, correction) is the body."""

    draft: Draft
    source_event_id: str | None = None
    canonical: bytes | None = None

    def body(self) -> bytes:
        """What makes two items under one id the same."""
        if self.canonical is not None:
            return self.canonical
        draft = self.draft
        fields = {k: v for k, v in draft.fields.items() if k not in _ARRIVAL}
        return msgspec.json.encode(
            [draft.record, fields, draft.sensitive, draft.corrects], order="deterministic", enc_hook=str
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """Durable. `again` = the same event had been accepted before: the same receipt."""

    event_id: UUID
    no: int
    accepted_at: datetime
    again: bool = False


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Nothing was kept of this item. `kind`: conflict (another body under a used id), refused, echo (the hub said so
    itself), dropped (other_payer) or duplicate (twice in one batch). `reason` is a stable code; `detail` holds no
    personal data."""

    kind: str
    reason: str
    field: str | None = None
    detail: str = ""


Result = Accepted | NotTaken

CONFLICT = NotTaken(
    "conflict", "other_body", detail="this id was used for another body; the first one stands"
)


class Refusal(Exception):
    """Ends one item; `result` says why."""

    def __init__(
        self, reason: str, field: str | None = None, detail: str = "", kind: str = "refused"
    ) -> None:
        super().__init__(reason)
        self.result = NotTaken(kind, reason, field, detail)
