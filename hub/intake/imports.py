"""The writing half of a file import: batches of records through accept, with memory and progress in one transaction.

An interrupted import goes on where it stopped; a second file of the same sender meanwhile is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.intake.accept import Acceptor
from hub.intake.files import BATCH, Tally, file_digest, plan_batch, wanted_keys
from hub.intake.memory import SourceMemory
from hub.intake.report import ImportReport
from hub.intake.results import Accepted, Incoming, NotTaken, Result
from hub.log.headers import event_source
from hub.sdk.inbound import Context, Decision, Examined, FileReader, FileRefused, Reject
from hub.store.database import rows, run, scalar, transaction

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """Who sent a file and how it is read."""

    partner: str
    flow: str
    reader: FileReader
    settings: Mapping[str, Any]
    received_on: date


@dataclass
class Importer:
    """Imports files of one territory's partners."""

    database: AsyncEngine
    acceptor: Acceptor

    async def import_file(
        self, source: Source, path: Path, progress: Progress | None = None, size: int = BATCH
    ) -> ImportReport:
        """Take in a file. Idempotent: the same file again changes nothing. Raises FileRefused (nothing kept), NoRoom."""
        with path.open("rb") as file:
            examined = source.reader.examine(file, source.settings)
            digest = file_digest(file)
            run_ = await self._begin(source, path.name, digest, examined)
            for notice in (*examined.warnings, *(source.reader.begin(run_.context) or ())):
                run_.tally.warn(notice.code, notice.detail)
            await self._records(run_, source, file, examined, size, progress)
            return await self._finish(run_, source, examined)

    async def _begin(self, source: Source, name: str, digest: str, examined: Examined) -> _Run:
        """Open the batch, or find the interrupted one of the same file."""
        desk = self.acceptor.desk
        async with transaction(self.database) as connection:
            await desk.refresh(connection)
            partner = desk.partner(source.partner)
            urn = event_source(partner.territory, source.partner, source.flow)
            memory = SourceMemory(desk.master, partner.territory, urn)
            sender = await memory.load(connection, examined.memory_keys)
            context = Context(
                territory=partner.territory,
                received_on=source.received_on,
                now=datetime.now(UTC),
                digest=partial(desk.master.digest, partner.territory),
                header=examined.header,
                sender_memory=sender,
                settings=source.settings,
                codes=desk.configuration(partner.territory).territory.codes,
                file_name=name,
            )
            source.reader.begin(context)
            batch = await self._batch(connection, partner.territory, urn, name, digest, examined)
            tally = Tally(name, digest, partner.territory, examined)
            return _Run(batch.id, batch.next_ordinal, Counter(batch.counts), memory, context, tally)

    async def _batch(
        self,
        connection: AsyncConnection,
        territory: str,
        urn: str,
        name: str,
        digest: str,
        examined: Examined,
    ) -> Any:
        found = await rows(
            connection,
            "select id, next_ordinal, counts, sha256 from batch where source = :s and state = 'open' and kind = 'file' for update",
            s=urn,
        )
        if found and found[0].sha256.hex() != digest:
            raise FileRefused(
                "import_incomplete",
                "another file of this sender was interrupted: import that one again first, it goes on where it stopped",
            )
        if found:
            return found[0]
        return (
            await rows(
                connection,
                "insert into batch (territory, source, kind, name, sha256, known) values (:t, :s, 'file', :n, :h, :known) "
                "returning id, next_ordinal, counts, sha256",
                t=territory, s=urn, n=name, h=bytes.fromhex(digest), known=examined.records,
            )
        )[0]  # fmt: skip

    async def _records(
        self,
        run_: _Run,
        source: Source,
        file: BinaryIO,
        examined: Examined,
        size: int,
        progress: Progress | None,
    ) -> None:
        batch: list[Any | Reject] = []
        for record in source.reader.read(file, examined):
            if record.position.ordinal < run_.next_ordinal:
                continue
            batch.append(record)
            if len(batch) >= size:
                await self._take(run_, source, batch, examined)
                if progress is not None:
                    progress(run_.next_ordinal - 1, examined.records)
                batch = []
        await self._take(run_, source, batch, examined)

    async def _take(
        self, run_: _Run, source: Source, batch: Sequence[Any | Reject], examined: Examined
    ) -> None:
        """Decide and accept one batch of records; its memory and the next ordinal go with it."""
        if not batch:
            return
        reader = source.reader
        wanted = wanted_keys(reader, batch)
        async with transaction(self.database) as connection:
            known = await run_.memory.load(connection, wanted)
        decisions = plan_batch(reader, batch, known, run_.context)
        items = [Incoming(draft) for decision in decisions for draft in decision.drafts]
        after = batch[-1].position.ordinal + 1
        kept: list[Decision] = []

        async def within(connection: AsyncConnection, results: Sequence[Result]) -> None:
            kept[:] = settled(decisions, results)
            changes = {key: state for decision in kept for key, state in decision.memory.items()}
            await run_.memory.store(connection, changes, wanted, run_.batch)
            counts = run_.counts + _counts(kept)
            counts["events"] += sum(isinstance(r, Accepted) and not r.again for r in results)
            await run(
                connection,
                "update batch set next_ordinal = :after, counts = cast(:counts as jsonb) where id = :b",
                after=after, counts=json.dumps(counts), b=run_.batch,
            )  # fmt: skip
            run_.pending = counts

        await self.acceptor.accept(
            source.partner, source.flow, items, batch=run_.batch, file=run_.context.file_name, within=within
        )
        run_.counts, run_.next_ordinal = run_.pending, after
        for decision in kept:
            run_.tally.add(decision)

    async def _finish(self, run_: _Run, source: Source, examined: Examined) -> ImportReport:
        """The sender's memory and the count of absent records are set when the import completes."""
        complete = getattr(source.reader, "complete", None)
        scopes = complete(run_.context) if complete is not None else []
        async with transaction(self.database) as connection:
            await run_.memory.store(connection, source.reader.finish(run_.context, examined))
            absent = await run_.memory.absent(connection, scopes, run_.batch)
            if absent:
                run_.tally.warn(
                    "absent", f"{len(absent)} households known before are not in this file; nothing was sent"
                )
            report = run_.tally.report(source.reader.senders(run_.context))
            await run(
                connection,
                "update batch set state = 'complete', finished_at = clock_timestamp(), report = cast(:report as jsonb), "
                "known = cast(:known as int) where id = :b",
                report=json.dumps(report.model_dump(mode="json") | {"absent": absent}),
                known=await scalar(
                    connection, "select next_ordinal - 1 from batch where id = :b", b=run_.batch
                ),
                b=run_.batch,
            )
        return report


@dataclass
class _Run:
    batch: int
    next_ordinal: int
    counts: Counter[str]
    memory: SourceMemory
    context: Context
    tally: Tally
    pending: Counter[str] = None  # type: ignore[assignment]


def settled(decisions: Sequence[Decision], results: Sequence[Result]) -> list[Decision]:
    """Each decision as accept answered: what was not taken is counted and rejected with its reason, and the memory of a
    record whose draft was refused stays as it was, so that the next file tries again."""
    answers = iter(results)
    return [_one(decision, [next(answers) for _ in decision.drafts]) for decision in decisions]


def _one(decision: Decision, results: Sequence[Result]) -> Decision:
    if all(isinstance(result, Accepted) and not result.again for result in results):
        return decision
    counts, rejects, kept = Counter(decision.counts), list(decision.rejects), []
    moved: set[Any] = set()
    for draft, result in zip(decision.drafts, results, strict=True):
        if isinstance(result, Accepted) and not result.again:
            kept.append(draft)
            continue
        adult = draft.subject.own_key or draft.key
        if adult not in moved:
            moved.add(adult)
            was = next((name for name in _was(draft.record) if counts[name] > 0), None)
            if was is not None:
                counts[was] -= 1
                counts[_outcome(result)] += 1
        if isinstance(result, NotTaken) and result.kind in ("refused", "conflict"):
            rejects.append(Reject(draft.position, result.reason, result.field, result.detail))
    refused = any(isinstance(r, NotTaken) and r.kind in ("refused", "conflict") for r in results)
    memory = {} if refused else decision.memory
    return replace(decision, drafts=tuple(kept), counts=+counts, rejects=tuple(rejects), memory=memory)


def _outcome(result: Result) -> str:
    """The count that a draft that made no event goes to: an echo is dropped with its reason, so that it is seen."""
    if isinstance(result, Accepted) or result.kind == "duplicate":
        return "duplicate"
    return f"dropped:{result.reason}" if result.kind in ("dropped", "echo") else "refused"


def _was(record: str) -> tuple[str, ...]:
    return ("entrant", "changed") if record == "NewRsaEntrant" else ("changed", "entrant")


def _counts(decisions: Sequence[Decision]) -> Counter[str]:
    """Records by what became of them, for the proof that intake adds up (protocol.md §8 a): each is processed or rejected."""
    rejected = sum(bool(d.counts["rejected"]) for d in decisions)
    return Counter(processed=len(decisions) - rejected, rejected=rejected)


async def resumable(database: AsyncEngine) -> list[tuple[str, str]]:
    """Interrupted file imports: (source, file name)."""
    async with transaction(database) as connection:
        return [
            (r.source, r.name)
            for r in await rows(
                connection, "select source, name from batch where state = 'open' and kind = 'file'"
            )
        ]
