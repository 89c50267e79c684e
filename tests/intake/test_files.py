"""The pure half of file imports: batches, what a record sees of earlier ones, the report and that everybody is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from io import BytesIO
from typing import Any, BinaryIO

import pytest

from hub.intake.files import EmptyMemory, Overlay, Tally, batches, dry_run, plan_batch, wanted_keys
from hub.intake.report import MOST_OF_ONE_CODE
from hub.sdk.inbound import (
    Context,
    Decision,
    Draft,
    Examined,
    FileRefused,
    Notice,
    Parts,
    Position,
    Reject,
    Subject,
)


@dataclass(frozen=True)
class Word:
    text: str
    position: Position


@dataclass
class WordReader:
    """Reads one word a line; a word is told the first time. `!` is no word, `?` a warning. Each word is one adult."""

    asked: list[set[Parts]] = field(default_factory=list)
    refuses: bool = False
    miscounts: bool = False

    def examine(self, source: BinaryIO, settings: Mapping[str, Any]) -> Examined:
        return Examined({}, source.read().count(b"\n"), totals={"declared": 9, "declared_anomalies": None})

    def begin(self, context: Context) -> Sequence[Notice]:
        if self.refuses:
            raise FileRefused("older", "an older file")
        return [Notice("odd", "odd file")]

    def senders(self, context: Context) -> Sequence[Mapping[str, Any]]:
        return [{"fonorg": "CAF"}]

    def read(self, source: BinaryIO, examined: Examined) -> Iterator[Word | Reject]:
        source.seek(0)
        for number, line in enumerate(source.read().decode().split(), 1):
            position = Position(number, number + 10)
            yield Reject(position, "no_word", "text", "detail") if line == "!" else Word(line, position)

    def keys(self, record: Word) -> Sequence[Parts]:
        return [(record.text,)]

    def decide(self, memory: Mapping[Parts, Mapping[str, Any]], record: Word, context: Context) -> Decision:
        self.asked.append(set(memory))
        if (record.text,) in memory:
            return Decision(counts=Counter(read=1, adults=0, duplicate=1))
        draft = Draft(
            "NewRsaEntrant",
            (record.text,),
            Subject(nir=record.text[:1], birth_date="1980-01-01"),
            {"rules": ["TOP"], "payer": {"numorg": record.text}, "claim_on": None},
            datetime(2026, 1, 1, tzinfo=UTC),
            record.position,
            journey="open",
        )
        warnings = (Notice("question", record.text),) if record.text == "?" else ()
        counts = Counter(read=1, adults=1, entrant=0 if self.miscounts else 1)
        return Decision((draft,), {(record.text,): {"n": 1}}, counts, warnings)

    def finish(self, context: Context, examined: Examined) -> Mapping[Parts, Mapping[str, Any]]:
        return {}


CONTEXT = Context(
    territory="76",
    received_on=date(2026, 1, 2),
    now=datetime(2026, 1, 2, tzinfo=UTC),
    digest=lambda *parts: "".join(parts),
    header={},
    sender_memory={},
    file_name="mots.txt",
)


async def report_of(text: str, reader: WordReader | None = None, store: Any = None) -> Any:
    reader = reader or WordReader()
    source = BytesIO(text.encode())
    return await dry_run(reader, source, reader.examine(source, {}), CONTEXT, store or EmptyMemory())


def test_batches_keep_order_and_lose_nothing() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([])) == []


def test_a_record_sees_what_an_earlier_one_of_its_batch_left_behind() -> None:
    reader = WordReader()
    words = [Word("a", Position(1)), Word("a", Position(2)), Word("b", Position(3))]
    assert wanted_keys(reader, words) == [("a",), ("b",)]
    decisions = plan_batch(reader, words, {("b",): {"n": 1}}, CONTEXT)
    assert [len(decision.drafts) for decision in decisions] == [1, 0, 0]
    assert reader.asked == [set(), {("a",)}, {("b",)}]


def test_a_reject_of_the_reader_is_a_decision_of_its_own() -> None:
    reject = Reject(Position(1, 2), "no_word")
    assert wanted_keys(WordReader(), [reject]) == []
    (decision,) = plan_batch(WordReader(), [reject], {}, CONTEXT)
    assert (decision.rejects, decision.counts) == ((reject,), Counter(rejected=1))


async def test_the_overlay_shows_what_would_be_written_over_what_is_stored() -> None:
    class Stored:
        async def get(self, keys: Sequence[Parts]) -> Mapping[Parts, Mapping[str, Any]]:
            return {key: {"n": 0} for key in keys if key in {("a",), ("b",), ("c",)}}

    overlay = Overlay(Stored())
    overlay.put({("a",): {"n": 1}, ("b",): None})
    assert await overlay.get([("a",), ("b",), ("c",), ("d",)]) == {("a",): {"n": 1}, ("c",): {"n": 0}}


async def test_the_report_says_where_and_what_and_names_nobody() -> None:
    report = await report_of("x\n!\nx\n?\n")
    assert report.model_dump(mode="json") == {
        "file": "mots.txt",
        "sha256": sha256(b"x\n!\nx\n?\n").hexdigest(),
        "territory": "76",
        "payers": [{"fonorg": "CAF"}],
        "households": 4,
        "adults": 2,
        "dropped": {"duplicate": 1},
        "events": {"NewRsaEntrant": 2},
        "items": [
            {
                "line": 11,
                "household": 1,
                "record": "NewRsaEntrant",
                "rules": ["TOP"],
                "fields": ["rules", "payer"],
            },
            {
                "line": 14,
                "household": 4,
                "record": "NewRsaEntrant",
                "rules": ["TOP"],
                "fields": ["rules", "payer"],
            },
        ],
        "rejects": [{"line": 12, "household": 2, "reason": "no_word", "field": "text"}],
        "warnings": [{"code": "odd", "detail": "odd file"}, {"code": "question", "detail": "?"}],
        "totals": {"declared": 9, "declared_anomalies": None, "read": 4},
    }


async def test_the_same_person_under_another_payer_is_no_second_entrant() -> None:
    report = await report_of("ab\nac\nbc\n")
    assert report.events == {"NewRsaEntrant": 2}
    assert report.dropped == {"other_payer": 1}


async def test_memory_of_the_store_counts() -> None:
    class Stored:
        async def get(self, keys: Sequence[Parts]) -> Mapping[Parts, Mapping[str, Any]]:
            return {key: {"n": 0} for key in keys if key == ("a",)}

    assert (await report_of("a\nb\n", store=Stored())).events == {"NewRsaEntrant": 1}


async def test_a_refused_file_leads_to_no_report() -> None:
    with pytest.raises(FileRefused, match="an older file"):
        await report_of("a\n", WordReader(refuses=True))


async def test_a_person_that_is_not_accounted_for_stops_the_import() -> None:
    with pytest.raises(AssertionError, match="adults read 1"):
        await report_of("a\n", WordReader(miscounts=True))


def test_many_warnings_of_one_kind_are_summed_up() -> None:
    tally = Tally("f", "0", "76", Examined({}, 0))
    for number in range(MOST_OF_ONE_CODE + 5):
        tally.warn("many", str(number))
    tally.warn("one", "alone")
    warnings = tally.report().warnings
    assert len(warnings) == MOST_OF_ONE_CODE + 2
    assert warnings[-1].detail == "and 5 more of this kind"
