"""Inbound port: how a connector turns a partner's words into drafts of events.

A connector's ``inbound.py`` reads (`examine`, `read`), names its own memory (`keys`) and decides (`decide`,
pure: the same record, memory and context always give the same drafts). It never sees the hub's identities, keys
or database: the hub finds the person, hashes the memory's keys, stores drafts and memory in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, BinaryIO, Protocol

from hub.sdk.transports import Fault, HttpTransport, Page

Parts = tuple[str, ...]
"""A key by its parts; the hub only ever stores its keyed hash."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands in its source: ordinal from 1, line from 1 when the source has lines."""

    ordinal: int
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not taken, for the person who must mend it. `detail` carries no personal data."""

    position: Position
    reason: str
    field: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something odd that did not stop the file."""

    code: str
    detail: str


class FileRefused(Exception):
    """The file as a whole is not taken; nothing of it was kept. `code` is stable, the text says what to do."""

    def __init__(self, code: str, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.code, self.line = code, line


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address as its source writes it; `postal_code` and `insee_code` are text (leading zeros)."""

    lines: tuple[str, ...] = ()
    postal_code: str | None = None
    insee_code: str | None = None
    commune: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a source says about who a record concerns. Identifiers are normalised by the connector where its format
    demands it and checked again by the hub.

    `own_key` is the source's own key of this person: it gives the person that it gave last time (events.md).
    `reference` is an outward reference that the hub gave to the sender (measure, decision, person).
    `matricule` is (FONORG, NUMORG, MATRICULE); FONORG and NUMORG empty = the territory's main payer.
    `birth_date` is ISO; `birth_day_known` is false for TYPEDTNAI J.
    """

    birth_name: str | None = None
    name: str | None = None
    first_names: tuple[str, ...] = ()
    birth_date: str | None = None
    birth_day_known: bool = True
    sex: str | None = None
    phones: tuple[str, ...] = ()
    email: str | None = None
    address: Address | None = None
    nir: str | None = None
    matricule: tuple[str, str, str] | None = None
    numdemrsa: str | None = None
    france_travail_id: str | None = None
    milo_id: str | None = None
    webrsa_id: str | None = None
    own_key: Parts | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One event that a source reports, before the hub knows the person.

    `key` holds the parts that make the source event id (the hub hashes them with the territory's key): they derive
    from content, never from the file. `fields` are the record's own fields (JSON-like values, dates as `date`).
    `journey` says what the draft does to the person's journey: "open" (mints one; when the person has an open one of the
    same kind already, accept counts the draft as `other_payer` and keeps no event), "renew" (ends the open one without an
    event of its own, then mints one), "close" (carries it and ends it), or None (carries it).
    `corrects` is {"key": the `key` of the earlier draft of this source, "kind": LATE / DATE_CORRECTED / ENTERED_IN_ERROR}.
    """

    record: str
    key: Parts
    subject: Subject
    fields: Mapping[str, Any]
    observed_at: datetime
    position: Position
    rule: str | None = None
    journey: str | None = None
    occurred_at: datetime | None = None
    sensitive: Mapping[str, Any] | None = None
    extra_person: Mapping[str, Any] = field(default_factory=dict)
    corrects: Mapping[str, Any] | None = None
    addressee: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one record leads to: drafts, what the source's memory becomes (None forgets), and counts by outcome."""

    drafts: tuple[Draft, ...] = ()
    memory: Mapping[Parts, Mapping[str, Any] | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    warnings: tuple[Notice, ...] = ()
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """The first pass over a file: its header, what it declares and what was counted. `header` is JSON-like.

    `memory_keys` names the memory that belongs to the file's sender as a whole (CAF: one per payer).
    """

    header: Mapping[str, Any]
    records: int
    memory_keys: tuple[Parts, ...] = ()
    warnings: tuple[Notice, ...] = ()
    totals: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a decision may look at besides record and memory.

    `digest` is a keyed hash (hex) under the territory's key: memory keeps digests of personal values, never values.
    `received_on` is the day the département's services received the file (starts the six weeks, CASF D.262-65-2).
    `settings` are the partner's typed settings of the manifest; `codes` the territory's code tables by name.
    """

    territory: str
    received_on: date
    now: datetime
    digest: Callable[..., str]
    header: Mapping[str, Any]
    sender_memory: Mapping[Parts, Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[str, Any] = field(default_factory=dict)
    file_name: str = ""


class FileReader(Protocol):
    """A module that reads one kind of file. Opening it twice must be possible: `source` is seekable."""

    def examine(self, source: BinaryIO, settings: Mapping[str, Any]) -> Examined:
        """First pass. Raises FileRefused."""

    def begin(self, context: Context) -> Sequence[Notice]:
        """What the sender's memory makes odd about this file. Raises FileRefused when it forbids it (an older one than
        the last)."""

    def senders(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """One JSON-like object per sender for the report, e.g. the CAF's `fonorg, numorg, baseline, previous_dtref`."""

    def read(self, source: BinaryIO, examined: Examined) -> Iterator[Any | Reject]:
        """Second pass: records (each with a `position: Position`) or rejects, in file order, one at a time."""

    def keys(self, record: Any) -> Sequence[Parts]:
        """The memory that `decide` needs for this record; a sender's records have keys that begin with its own."""

    def decide(self, memory: Mapping[Parts, Mapping[str, Any]], record: Any, context: Context) -> Decision:
        """Pure. `memory` holds only keys that exist. `counts` gives each person one outcome (entrant, changed,
        unchanged, stock, duplicate, dropped:<reason>), `adults` those not counted before, `read` all of them."""

    def finish(self, context: Context, examined: Examined) -> Mapping[Parts, Mapping[str, Any]]:
        """The sender's memory after the whole file was taken (baseline, last reference date)."""


@dataclass(frozen=True)
class PollSource:
    """What a poll gets: connections bound to a deadline, the partner's settings and secrets (never logged)."""

    http: HttpTransport
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


class Poller(Protocol):
    """A module that asks a partner for what is new. The hub keeps the cursor in the transaction that accepts the page,
    so a page asked for twice is only duplicates."""

    async def poll(self, cursor: str | None, source: PollSource) -> Page[Any] | Fault:
        """The records (each with a `position`) or rejects after `cursor`, in the partner's order. No side effect."""

    def keys(self, record: Any) -> Sequence[Parts]:
        """The memory that `decide` needs for this record."""

    def decide(self, memory: Mapping[Parts, Mapping[str, Any]], record: Any, context: Context) -> Decision:
        """Pure, as for files."""
