"""Twins remember what they applied, whatever is killed, and fail as told."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route

from hub.sdk.transports import Fault, HttpTransport, Reply, outcome_of
from hub.sdk.twin import EffectLog, Running, Twin, TwinFault


class Counter(Twin):
    """Adds what it is sent."""

    name = "counter"
    honest = "A fake for tests of the twins' base."

    def reset(self) -> None:
        self.total = 0

    def fold(self, effect) -> None:
        self.total += effect["by"]

    def routes(self):
        async def add(request):
            self.apply("added", by=(await request.json())["by"], key=request.headers.get("idempotency-key"))
            return JSONResponse({"total": self.total}, 201)

        return [Route("/add", add, methods=["POST"])]


@pytest.fixture
async def http():
    transport = HttpTransport(deadline=10.0)
    yield transport
    await transport.aclose()


def test_state_is_the_fold_of_the_log(tmp_path):
    first = Counter(tmp_path)
    first.apply("added", by=2)
    first.apply("added", by=3)
    assert (Counter(tmp_path).total, [e["n"] for e in first.log.entries]) == (5, [1, 2])


def test_torn_last_line_is_cut_off(tmp_path):
    log = EffectLog(tmp_path / "log.jsonl")
    log.append({"effect": "whole"})
    with open(tmp_path / "log.jsonl", "ab") as file:
        file.write(b'{"n": 2, "effect": "to')
    again = EffectLog(tmp_path / "log.jsonl")
    again.append({"effect": "next"})
    assert [entry["effect"] for entry in EffectLog(tmp_path / "log.jsonl").entries] == ["whole", "next"]


def test_twin_says_what_it_is(tmp_path):
    with Running(Counter(tmp_path)) as running:
        about = httpx.get(running.url + "/", trust_env=False).json()
    assert about == {"twin": "counter", "what_it_is": Counter.honest, "effects": 0}


@pytest.mark.parametrize(
    ("fault", "outcome", "applied"),
    [
        (TwinFault("status", status=503, retry_after="9"), ("unavailable", "http_503", 9.0), 0),
        (TwinFault("status", status=429, retry_after="4"), ("retry", "http_429", 4.0), 0),
        (TwinFault("status", status=500), ("unknown", "http_500", None), 0),
        (TwinFault("status", status=422, code="NON"), ("refused", "http_422", None), 0),
        (TwinFault("status_after", status=500), ("unknown", "http_500", None), 1),
        (TwinFault("drop"), ("unknown", "broken", None), 0),
        (TwinFault("drop_after"), ("unknown", "broken", None), 1),
        (TwinFault("hang", seconds=0.1), ("unknown", "broken", None), 0),
        (TwinFault("hang_after", seconds=0.1), ("unknown", "broken", None), 1),
        (TwinFault("slow", seconds=0.1), ("delivered", None, None), 1),
        (TwinFault("trickle", seconds=0.01), ("delivered", None, None), 1),
    ],
)
async def test_each_fault_looks_as_it_should_and_applies_or_not(tmp_path, http, fault, outcome, applied):
    twin = Counter(tmp_path, faults=[fault])
    with Running(twin) as running:
        reply = await http.request("POST", running.url + "/add", json={"by": 1})
        seen = outcome_of(reply, now=http.clock())
        assert ((seen.kind, seen.code, seen.after), twin.total) == (outcome, applied)
        after = await http.request("POST", running.url + "/add", json={"by": 10})
    assert isinstance(after, Reply), "the fault was for one request"
    assert twin.total == applied + 10


async def test_hang_longer_than_the_deadline_is_unknown(tmp_path, http):
    with Running(Counter(tmp_path, faults=[TwinFault("hang_after", seconds=20)])) as running:
        reply = await http.within(0.4).request("POST", running.url + "/add", json={"by": 1})
        assert running.twin.total == 1
    assert reply == Fault("deadline", started=True)


async def test_faults_are_set_and_cleared_over_http(tmp_path, http):
    with Running(Counter(tmp_path)) as running:
        switch = running.url + "/_twin/faults"
        await http.request(
            "POST", switch, json=[{"kind": "status", "times": 2, "status": 503, "path": "/add"}]
        )
        first = await http.request("POST", running.url + "/add", json={"by": 1})
        left = (await http.request("GET", switch)).json()
        await http.request("DELETE", switch)
        second = await http.request("POST", running.url + "/add", json={"by": 1})
        wrong = await http.request("POST", switch, json=[{"kind": "drop", "colour": "red"}])
    assert (first.status, left[0]["times"], second.status) == (503, 1, 201)
    assert (wrong.status, wrong.json()["unknown"]) == (422, ["colour"])


async def test_seeded_chance_gives_the_same_faults_again(tmp_path, http):
    async def statuses(state) -> list[int]:
        twin = Counter(state, seed=7, faults=[TwinFault("status", times=-1, chance=0.5)])
        with Running(twin) as running:
            replies = [await http.request("POST", running.url + "/add", json={"by": 1}) for _ in range(12)]
        return [reply.status for reply in replies]

    first, again = await statuses(tmp_path / "a"), await statuses(tmp_path / "b")
    assert first == again
    assert set(first) == {201, 503}


async def test_effects_are_read_in_order(tmp_path, http):
    with Running(Counter(tmp_path)) as running:
        for by in (1, 2, 3):
            await http.request(
                "POST", running.url + "/add", json={"by": by}, headers={"idempotency-key": f"k{by}"}
            )
        effects = (await http.request("GET", running.url + "/_twin/effects", params={"after": "1"})).json()
    assert [(e["n"], e["by"], e["key"]) for e in effects] == [(2, 2, "k2"), (3, 3, "k3")]
