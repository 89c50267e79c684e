"""What a file leads to, decided without any effect: batches of decisions, and the report. Pure; `imports.py` writes.

Dry run and import decide by the same calls: the dry run keeps what memory would become beside the stored one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from typing import Any, BinaryIO, Protocol

import msgspec

from hub.intake.report import MOST_OF_ONE_CODE, ImportReport, Item, RejectLine, Totals, Warned
from hub.sdk.inbound import Context, Decision, Draft, Examined, FileReader, Parts, Reject

BATCH = 500
"""Records that are looked up, decided (and accepted) together."""


class MemoryStore(Protocol):
    """What a source remembers, by key."""

    async def get(self, keys: Collection[Parts]) -> Mapping[Parts, Mapping[str, Any]]:
        """The states of those keys that exist."""


class EmptyMemory:
    """Nothing is known yet."""

    async def get(self, keys: Collection[Parts]) -> Mapping[Parts, Mapping[str, Any]]:
        return {}


class Overlay:
    """A memory as it would be written, over the stored one; states are kept packed."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._changed: dict[Parts, bytes | None] = {}

    async def get(self, keys: Collection[Parts]) -> dict[Parts, Mapping[str, Any]]:
        found = dict(await self._store.get([key for key in keys if key not in self._changed]))
        for key in keys:
            packed = self._changed.get(key)
            if packed is not None:
                found[key] = msgspec.msgpack.decode(packed)
        return found

    def put(self, memory: Mapping[Parts, Mapping[str, Any] | None]) -> None:
        for key, state in memory.items():
            self._changed[key] = None if state is None else msgspec.msgpack.encode(state)


def batches(records: Iterable[Any | Reject], size: int = BATCH) -> Iterator[list[Any | Reject]]:
    """The records in file order, `size` at a time."""
    source = iter(records)
    while batch := list(islice(source, size)):
        yield batch


def wanted_keys(reader: FileReader, batch: Sequence[Any | Reject]) -> list[Parts]:
    """Every key of memory that deciding this batch needs, each once."""
    return list(
        dict.fromkeys(k for record in batch if not isinstance(record, Reject) for k in reader.keys(record))
    )


def plan_batch(
    reader: FileReader,
    batch: Sequence[Any | Reject],
    known: Mapping[Parts, Mapping[str, Any]],
    context: Context,
) -> list[Decision]:
    """One decision per record, in order; a record sees what an earlier one of the batch has made of the memory.

    `known` holds the stored states of `wanted_keys`. A reject of the reader becomes a decision that says just that.
    """
    memory = dict(known)
    decisions = []
    for record in batch:
        if isinstance(record, Reject):
            decisions.append(Decision(rejects=(record,), counts=Counter(rejected=1)))
            continue
        decision = reader.decide(
            {key: memory[key] for key in reader.keys(record) if key in memory}, record, context
        )
        for key, state in decision.memory.items():
            if state is None:
                memory.pop(key, None)
            else:
                memory[key] = state
        decisions.append(decision)
    return decisions


class OpenJourneys:
    """What accept knows of journeys, as far as one file tells: the same person (NIR and birth date) under a second payer
    is no second entrant."""

    def __init__(self) -> None:
        self._payers: dict[int, Mapping[str, str]] = {}

    def keep(self, decision: Decision) -> Decision:
        """The decision without drafts that accept would drop; they are counted as `other_payer`."""
        kept = tuple(draft for draft in decision.drafts if self._take(draft))
        dropped = len(decision.drafts) - len(kept)
        if not dropped:
            return decision
        counts = decision.counts - Counter(entrant=dropped) + Counter({"dropped:other_payer": dropped})
        return replace(decision, drafts=kept, counts=counts)

    def _take(self, draft: Draft) -> bool:
        subject = draft.subject
        if draft.journey is None or not subject.nir:
            return True
        person = hash((subject.nir, subject.birth_date))
        if draft.journey == "close":
            self._payers.pop(person, None)
            return True
        payer = draft.fields.get("payer", {})
        known = self._payers.setdefault(person, payer)
        return draft.journey == "renew" or known == payer


class Tally:
    """The report while it grows."""

    def __init__(self, file: str, digest: str, territory: str, examined: Examined) -> None:
        self._report = ImportReport(
            file=file,
            sha256=digest,
            territory=territory,
            totals=Totals(examined.totals.get("declared"), examined.totals.get("declared_anomalies"), 0),
        )
        self.counts: Counter[str] = Counter()
        self._warned: Counter[str] = Counter()

    def warn(self, code: str, detail: str) -> None:
        """Note something odd; beyond a number of one kind only the count is kept."""
        self._warned[code] += 1
        if self._warned[code] <= MOST_OF_ONE_CODE:
            self._report.warnings.append(Warned(code, detail))

    def add(self, decision: Decision) -> None:
        """Count one decision."""
        self.counts += decision.counts
        self.counts["records"] += 1
        report = self._report
        for draft in decision.drafts:
            report.events[draft.record] = report.events.get(draft.record, 0) + 1
            report.items.append(_item(draft))
        for reject in decision.rejects:
            where = reject.position
            report.rejects.append(RejectLine(where.line, where.ordinal, reject.reason, reject.field))
        for notice in decision.warnings:
            self.warn(notice.code, notice.detail)

    def report(self, senders: Sequence[Mapping[str, Any]] = ()) -> ImportReport:
        """The report so far. Raises AssertionError when a person or record is not accounted for: a bug, never the
        file's fault."""
        counts = self.counts
        dropped = {
            name.partition(":")[2]: n for name, n in counts.items() if name.startswith("dropped:") and n
        }
        outcomes = {
            name: counts[name]
            for name in ("entrant", "changed", "unchanged", "stock", "duplicate", "refused")
        }
        persons = sum(n for reason, n in dropped.items() if reason not in ("child", "other"))
        if counts["read"] != sum(outcomes.values()) + persons:
            raise AssertionError(f"adults read {counts['read']}, accounted for {outcomes} and {dropped}")
        if outcomes["duplicate"]:
            dropped["duplicate"] = outcomes["duplicate"]
        report = self._report
        for code, n in self._warned.items():
            if n > MOST_OF_ONE_CODE:
                report.warnings.append(Warned(code, f"and {n - MOST_OF_ONE_CODE} more of this kind"))
        report.payers = [dict(sender) for sender in senders]
        report.households, report.adults = counts["records"], counts["adults"]
        report.dropped, report.outcomes = dict(sorted(dropped.items())), outcomes
        report.totals = replace(report.totals, read=counts["records"])
        return report


def _item(draft: Draft) -> Item:
    """What one event would say, by names of fields only."""
    if "corrected" in draft.fields:
        names = [name.lower() for name in draft.fields["corrected"]]
    elif "channel" in draft.fields:
        names = [draft.fields["channel"].lower()]
    else:
        names = [name for name, value in draft.fields.items() if value not in (None, [], "")]
    where = draft.position
    return Item(where.line, where.ordinal, draft.record, list(draft.fields.get("rules", [])), names)


async def dry_run(
    reader: FileReader, source: BinaryIO, examined: Examined, context: Context, store: MemoryStore
) -> ImportReport:
    """What importing this file would do; nothing is written. Raises FileRefused."""
    tally = Tally(context.file_name, file_digest(source), context.territory, examined)
    for notice in (*examined.warnings, *(reader.begin(context) or ())):
        tally.warn(notice.code, notice.detail)
    memory, journeys = Overlay(store), OpenJourneys()
    for batch in batches(reader.read(source, examined)):
        known = await memory.get(wanted_keys(reader, batch))
        for decision in plan_batch(reader, batch, known, context):
            memory.put(decision.memory)
            tally.add(journeys.keep(decision))
    return tally.report(reader.senders(context))


def file_digest(source: BinaryIO) -> str:
    """SHA-256 (hex) of the whole file, wherever it was read to."""
    source.seek(0)
    digest = sha256()
    while chunk := source.read(1 << 20):
        digest.update(chunk)
    source.seek(0)
    return digest.hexdigest()
