"""What an outcome makes of its delivery, row by row, and the schedule of tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.retry import Standing, delay, rules, settlement
from hub.delivery.window import last_boundary
from hub.ledger import states
from hub.sdk.manifest import Outbound
from hub.sdk.outbound import Lookup, Outcome

KEY = Outbound(
    transport="http",
    unknown_outcome="key",
    blocking_codes=["BLOCKS"],
    code_actions={"OTHER_THERE": "already_decided"},
)
LOOK = KEY.model_copy(update={"unknown_outcome": "look_up"})
NONE = KEY.model_copy(update={"unknown_outcome": "none"})
FIRST = Standing(attempt=1, tries=0, marked_by=1, marked_for=1.0)
AGAIN = Standing(attempt=3, tries=2, marked_by=1, marked_for=600.0)


def middle() -> float:
    return 0.5


TABLE = [
    # standing, outcome, manifest, state, reason, does the mark fall
    (FIRST, Outcome("delivered"), KEY, "delivered", None, True),
    (FIRST, Outcome("refused", "E1"), KEY, "refused", None, True),
    (AGAIN, Outcome("refused", "E1"), KEY, "refused", None, False),
    (FIRST, Outcome("refused", "BLOCKS"), KEY, "human", "blocked_code", True),
    (FIRST, Outcome("refused", "OTHER_THERE"), KEY, "human", "already_decided", True),
    (FIRST, Outcome("retry"), KEY, "waiting", "retry", True),
    (AGAIN, Outcome("retry"), KEY, "waiting", "retry", False),
    (FIRST, Outcome("unavailable"), KEY, "waiting", "retry", True),
    (FIRST, Outcome("not_started"), KEY, "waiting", "retry", True),
    (AGAIN, Outcome("not_started"), KEY, "waiting", "retry", False),
    (FIRST, Outcome("unknown_person"), KEY, "waiting", "identity", True),
    (FIRST, Outcome("several_matches"), KEY, "human", "several_matches", True),
    (FIRST, Outcome("unknown"), KEY, "waiting", "retry", False),
    (FIRST, Outcome("unknown"), LOOK, "waiting", "retry", False),
    (FIRST, Outcome("unknown"), NONE, "human", "unknown_outcome", False),
    (AGAIN, Lookup("applied"), LOOK, "delivered", None, True),
    (AGAIN, Lookup("not_there"), LOOK, "waiting", "retry", True),
    (AGAIN, Lookup("cannot_tell"), LOOK, "waiting", "retry", False),
    (AGAIN, Lookup("cannot_tell", code="OTHER_THERE"), LOOK, "human", "already_decided", False),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[1]}-{row[2].unknown_outcome}-{row[0].attempt}")
def test_the_table_of_outcomes(row):
    standing, outcome, manifest, state, reason, unmark = row
    result = settlement(standing, outcome, manifest, middle)
    assert (result.state, result.reason, result.unmark) == (state, reason, unmark)
    assert ("sending", result.state) in states.transitions()
    if reason:
        assert reason in states.reasons(state)


def test_tries_follow_the_schedule_to_day_seven_and_then_a_human_looks():
    waits = []
    while (wait := delay(len(waits) + 1, middle)) is not None:
        waits.append(wait)
    assert waits[:7] == rules()["steps"]
    assert set(waits[7:]) == {43_200}
    assert 6.4 * 86_400 < sum(waits) <= 7.1 * 86_400
    exhausted = settlement(
        Standing(attempt=30, tries=len(waits), marked_by=30, marked_for=1.0), Outcome("retry"), KEY, middle
    )
    assert (exhausted.state, exhausted.reason) == ("human", "retries_exhausted")


def test_unavailable_counts_for_the_pause_and_not_for_the_item():
    result = settlement(AGAIN, Outcome("unavailable", after=120.0), KEY, middle)
    assert (result.tries, result.unavailable, result.due_in) == (AGAIN.tries, True, 120.0)


def test_retry_after_replaces_the_next_step_and_is_bounded():
    assert settlement(FIRST, Outcome("retry", after=3.0), KEY, middle).due_in == 3.0
    assert settlement(FIRST, Outcome("retry", after=10.0**9), KEY, middle).due_in == 86_400


def test_a_key_is_used_again_only_as_long_as_the_partner_remembers_it():
    old = Standing(attempt=9, tries=8, marked_by=1, marked_for=KEY.key_lifetime - 60)
    result = settlement(old, Outcome("unknown"), KEY, middle)
    assert (result.state, result.reason) == ("human", "unknown_outcome")


def test_who_waits_for_an_identifier_for_sixty_days_goes_to_a_human():
    long = Standing(attempt=60, tries=0, marked_by=60, marked_for=1.0, waits_for_identity=61 * 86_400.0)
    result = settlement(long, Outcome("unknown_person"), KEY, middle)
    assert (result.state, result.reason) == ("human", "no_identifier")


@given(st.integers(1, 19), st.floats(0, 1))
def test_jitter_stays_within_twenty_percent(tries, draw):
    wait, plain = delay(tries, lambda: draw), delay(tries, middle)
    assert plain * 0.8 <= wait <= plain * 1.2


def test_windows_close_on_aligned_boundaries_and_at_local_hours_through_both_clock_changes():
    from datetime import UTC, datetime

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert last_boundary("15 min", at("2026-03-05T10:44:59")) == at("2026-03-05T10:30:00")
    assert last_boundary("daily 06:00", at("2026-03-28T07:00:00")) == at("2026-03-28T05:00:00")
    assert last_boundary("daily 06:00", at("2026-03-29T04:30:00")) == at("2026-03-29T04:00:00")
    assert last_boundary("daily 06:00", at("2026-10-25T04:30:00")) == at("2026-10-24T04:00:00")
    assert last_boundary("daily 06:00", at("2026-10-25T05:30:00")) == at("2026-10-25T05:00:00")
    with pytest.raises(ValueError, match="a file window is"):
        last_boundary("hourly", at("2026-01-01T00:00:00"))
