"""Reads CNAF files as the hub would, with memory in Python."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

from connectors.caf import inbound
from hub.dev.generate.cnaf import Family, Paper, Truth, write_file
from hub.intake.files import Tally, batches, file_digest, plan_batch, wanted_keys
from hub.intake.report import ImportReport
from hub.sdk.inbound import Context, Draft, FileReader, Parts

READER: FileReader = inbound  # type: ignore[assignment]


def digest(*parts: str) -> str:
    return hmac.digest(b"key of the tests", "\x1f".join(parts).encode(), hashlib.sha256).hex()


class Payers:
    """A hub's memory over several files; `read` gives the report, `drafts` what the last file led to."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.sender_memory: Mapping[Parts, Mapping[str, Any]] = {}
        self.stored: dict[Parts, Mapping[str, Any]] = {}
        self.drafts: list[Draft] = []

    def read(
        self, data: bytes, name: str = "fichier.xml", received_on: date = date(2026, 3, 6)
    ) -> ImportReport:
        source = BytesIO(data)
        examined = READER.examine(source, self.settings)
        context = Context(
            territory="76",
            received_on=received_on,
            now=datetime(2026, 3, 6, 8, tzinfo=UTC),
            digest=digest,
            header=examined.header,
            sender_memory=self.sender_memory,
            settings=self.settings,
            file_name=name,
        )
        tally = Tally(name, file_digest(source), "76", examined)
        for notice in (*examined.warnings, *READER.begin(context)):
            tally.warn(notice.code, notice.detail)
        self.drafts = []
        for batch in batches(READER.read(source, examined), 7):
            known = {key: self.stored[key] for key in wanted_keys(READER, batch) if key in self.stored}
            for decision in plan_batch(READER, batch, known, context):
                self.stored |= {key: state for key, state in decision.memory.items() if state is not None}
                self.drafts += decision.drafts
                tally.add(decision)
        report = tally.report(READER.senders(context))
        self.sender_memory = {**self.sender_memory, **READER.finish(context, examined)}
        return report


def written(
    families: list[Family], flux: str = "M", dtref: date = date(2026, 2, 28), paper: Paper | None = None
) -> tuple[bytes, list[tuple[int, Family]]]:
    out = BytesIO()
    lines = write_file(out, families, flux, dtref, paper)
    return out.getvalue(), lines


def told(report: ImportReport) -> list[tuple[int | None, int, str, tuple[str, ...]]]:
    return [(i.line, i.household, i.record, tuple(sorted(i.rules))) for i in report.items]


def assert_agrees(report: ImportReport, truth: Truth) -> None:
    """The report says what the generator meant."""
    assert report.households == truth.households == report.totals.read
    assert {r.household: r.field for r in report.rejects} == truth.rejects
    assert sorted(told(report)) == sorted(truth.items)
    assert report.events == dict(truth.events)
    assert report.adults == truth.adults
    assert report.outcomes["stock"] == truth.stock
