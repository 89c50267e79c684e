"""A structure's answers, polled: ``GET <url>/answers?after=<cursor>`` → MeasureAnswered for the request they quote.

The same answer again has the same source id (measure, answer, day); another answer after a final one corrects it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from uuid import UUID

from hub.sdk.codes import code_table
from hub.sdk.inbound import Context, Decision, Draft, Notice, Parts, PollSource, Position, Reject, Subject
from hub.sdk.transports import Fault, Page, retry_after
from hub.sdk.transports.answers import clean_code

CODES = Path(__file__).parent / "codes"
LIMIT = 100
CAP = 1024 * 1024
MOST_CURSOR = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it was read and checked; `reason` and `mode` are the hub's words."""

    position: Position
    measure_id: str
    answer: str
    answered_on: date
    emitted_at: datetime
    reason: str | None = None
    reason_raw: str | None = None
    appointment: Mapping[str, Any] | None = None
    places_left: int | None = None


async def poll(cursor: str | None, source: PollSource) -> Page[Answer | Reject] | Fault:
    """One page of at most 100 answers after `cursor`."""
    reply = await source.http.request(
        "GET",
        str(source.settings["url"]).rstrip("/") + "/answers",
        params={"after": cursor or "", "limit": str(LIMIT)},
        headers={"authorization": f"Bearer {source.secrets.get('api_key', '')}"},
        cap=CAP,
    )
    if isinstance(reply, Fault):
        return reply
    body = reply.json() if reply.status == 200 else None
    if not isinstance(body, dict) or not isinstance(body.get("answers"), list):
        after = retry_after(reply.headers.get("retry-after"), source.http.clock())
        return Fault("answer", started=True, after=after, code=f"http_{reply.status}")
    following = body.get("cursor")
    if not isinstance(following, str) or not 0 < len(following) <= MOST_CURSOR:
        following = cursor
    return Page(tuple(read(item, number) for number, item in enumerate(body["answers"], 1)), following)


def read(item: Any, number: int) -> Answer | Reject:
    """Check one answer. A reject names the field, never its value."""
    position = Position(number)
    if not isinstance(item, dict):
        return Reject(position, "not_an_object")
    try:
        measure_id = str(UUID(item["orientation_id"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return Reject(
            position, "unknown_reference", "orientation_id", "quote the orientation_id of the request"
        )
    statut = item.get("statut")
    answer = code_table(CODES / "statuts.csv").to_hub(statut if isinstance(statut, str) else "")
    if not answer.known:
        return Reject(position, "unknown_code", "statut", "one of VALIDÉE, REFUSÉE, EN_ATTENTE")
    try:
        answered_on = date.fromisoformat(item["repondu_le"])
    except (KeyError, ValueError, TypeError):
        return Reject(position, "not_a_date", "repondu_le", "YYYY-MM-DD")
    places = item.get("places_restantes")
    if places is not None and (
        not isinstance(places, int) or isinstance(places, bool) or not 0 <= places < 2**31
    ):
        return Reject(position, "not_a_number", "places_restantes", "a whole number from 0, or nothing")
    appointment = _appointment(item.get("rendez_vous"))
    if isinstance(appointment, str):
        return Reject(position, "not_a_time", f"rendez_vous.{appointment}", "a time with zone, a known mode")
    raw = item.get("motif_code")
    reason = code_table(CODES / "motifs.csv").to_hub(raw).ours if isinstance(raw, str) and raw else None
    emitted = _instant(item.get("emis_le")) or datetime.combine(answered_on, time(), UTC)
    return Answer(
        position, measure_id, answer.ours, answered_on, emitted, reason, clean_code(raw), appointment, places
    )


def keys(record: Answer) -> Sequence[Parts]:
    """What this structure answered last to the same request."""
    return [_key(record)]


def decide(memory: Mapping[Parts, Mapping[str, Any]], record: Answer, context: Context) -> Decision:
    """One draft per answer; the hub refuses it when the sender was not asked (rule 0 of events.md)."""
    last = memory.get(_key(record))
    now = {"answer": record.answer, "answered_on": record.answered_on.isoformat()}
    if last is not None and dict(last) == now:
        return Decision(counts=Counter(duplicate=1))
    draft = Draft(
        record="MeasureAnswered",
        key=(record.measure_id, record.answer, now["answered_on"]),
        subject=Subject(reference=record.measure_id),
        fields={
            "measure_id": record.measure_id,
            "answer": record.answer,
            "answered_on": record.answered_on,
            "reason_code": record.reason,
            "appointment": record.appointment,
            "places_left": record.places_left,
            "amount_cents": None,
        },
        observed_at=record.emitted_at,
        position=record.position,
        rule="answer",
        corrects=_corrects(last, now, record.measure_id),
    )
    warnings = []
    if record.reason == "UNKNOWN":
        warnings.append(
            Notice("unknown_reason", f"motif_code {record.reason_raw or 'that is no code'} is in no table")
        )
    return Decision((draft,), {_key(record): now}, Counter(answers=1), tuple(warnings))


def _key(record: Answer) -> Parts:
    return ("answer", record.measure_id)


def _corrects(
    last: Mapping[str, Any] | None, now: Mapping[str, str], measure_id: str
) -> dict[str, Any] | None:
    """A final answer after "will decide later" is progress; anything else that differs corrects the last one."""
    if last is None or (last["answer"] == "PENDING" and now["answer"] != "PENDING"):
        return None
    same_answer = last["answer"] == now["answer"]
    return {
        "key": (measure_id, last["answer"], last["answered_on"]),
        "kind": "DATE_CORRECTED" if same_answer else "ENTERED_IN_ERROR",
    }


def _appointment(value: Any) -> dict[str, Any] | str | None:
    """The appointment in the hub's words, None for none, or the name of the field that does not hold."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return "debut"
    starts_at = _instant(value.get("debut"))
    if starts_at is None:
        return "debut"
    raw = value.get("mode")
    if raw is None:
        return {"starts_at": starts_at, "mode": None}
    mode = code_table(CODES / "modes.csv").to_hub(raw if isinstance(raw, str) else "")
    return {"starts_at": starts_at, "mode": mode.ours} if mode.known else "mode"


def _instant(value: Any) -> datetime | None:
    """An ISO time with zone, in UTC; None for anything else."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
