"""Bodies that nobody means well with, and bodies of people who mistyped: one way to understand them, or a pointer to why not."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.gateway.drafts import Sender, read_event
from hub.gateway.problems import Problem
from hub.gateway.strict import MAX_DEPTH, NotJson, parse
from hub.log.registry import current
from tests.gateway.doors import decision, doors, person

BATCH = "application/cloudevents-batch+json"


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"a": 1} x', "is not JSON"),
        (b'{"a": 1, "a": 1}', "names a key twice"),
        (b'{"b": {"a": 1, "a": 2}}', "names a key twice"),
        (b'{"a": 1, "\\u0061": 2}', "names a key twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "NaN"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 18446744073709551616}', "64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "64 bits"),
        (b'"\\ud800"', "half a character"),
        (b'{"\\ud800": 1}', "half a character"),
        (b'"\\u0000"', "control character"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"\xc3\x28", "not UTF-8"),
        (b"[" * 33 + b"]" * 33, "deeper"),
        (b"[" * 500_000, "deeper"),
        (b'{"a":' * 200_000, "deeper"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper"),
    ],
)
def test_what_can_be_read_in_two_ways_or_is_meant_to_hurt_is_refused(raw, rule):
    with pytest.raises(NotJson, match=rule):
        parse(raw)


def test_the_deepest_allowed_is_read():
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cs"))),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=("Cc", "Cs"))), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(_json)
def test_every_decent_document_is_read_as_it_is(value):
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_typed_refusal(raw):
    with suppress(NotJson):
        json.dumps(parse(raw))


async def test_a_body_that_cannot_be_read_is_400_with_the_place(database):
    async with doors(database) as hub:
        answer = await hub.send("cd", b'{"id": NaN}')
        assert (answer.status_code, answer.json()["reason"]) == (400, "malformed")
        answer = await hub.send("cd", json.dumps(decision(person={"own_id": "a\x00b"})).encode())
        assert answer.json()["errors"] == [
            {"pointer": "/data/person/own_id", "rule": "holds a control character or half a character"}
        ]
        assert await hub.events() == 0


async def test_a_body_is_read_no_further_than_one_mebibyte(database):
    async with doors(database) as hub:
        big = json.dumps(decision(note="x" * 1_100_000)).encode()
        assert (await hub.send("cd", big)).status_code == 413
        sent = 0

        async def endless():
            nonlocal sent
            while True:
                sent += 65_536
                yield b" " * 65_536

        answer = await hub.client.post(
            "/v1/events",
            content=endless(),
            headers={"Content-Type": BATCH, **await hub.header("cd")},
        )
        assert answer.status_code == 413
        assert sent < 4 * 1024 * 1024


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "", "application/cloudevents+json; charset=utf-16"]
)
async def test_other_media_types_are_415(database, kind):
    async with doors(database) as hub:
        answer = await hub.send("cd", b"{}", kind)
        assert (answer.status_code, answer.json()["reason"]) == (415, "media_type")


async def test_a_compressed_body_is_415(database):
    async with doors(database) as hub:
        answer = await hub.send("cd", b"\x1f\x8b", **{"Content-Encoding": "gzip"})
        assert answer.status_code == 415


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in decision().items() if key != name}


@pytest.mark.parametrize(
    ("broken", "pointer"),
    [
        (_without("specversion"), "/specversion"),
        (_without("id"), "/id"),
        (_without("source"), "/source"),
        (_without("type"), "/type"),
        (_without("data"), "/data"),
        (decision() | {"specversion": "0.3"}, "/specversion"),
        (decision() | {"id": ""}, "/id"),
        (decision() | {"id": 7}, "/id"),
        (decision() | {"id": "x" * 201}, "/id"),
        (decision() | {"type": "fr.spie.orientations.OrientationDecided.v2"}, "/type"),
        (decision() | {"type": "fr.spie.hub.IdentityLinked.v1"}, "/type"),
        (decision() | {"time": "2026-04-01T08:00:00"}, "/time"),
        (decision() | {"time": "1700000000"}, "/time"),
        (decision() | {"data_base64": "e30="}, "/data_base64"),
        (decision() | {"datacontenttype": "application/xml"}, "/datacontenttype"),
        (decision() | {"persn": {}}, "/persn"),
        (decision() | {"data": []}, "/data"),
        (decision(decided_on="10/04/2026"), "/data/decided_on"),
        (decision(decided_on="20260410"), "/data/decided_on"),
        (decision(decided_on="86400"), "/data/decided_on"),
        (decision(decided_on="2026-02-30"), "/data/decided_on"),
        (decision(decided_on=None), "/data/decided_on"),
        (decision(rank="1"), "/data/rank"),
        (decision(rank=1.0), "/data/rank"),
        (decision(rank=True), "/data/rank"),
        (decision(rank=2**31), "/data/rank"),
        (decision(structure="x" * 1025), "/data/structure"),
        (decision(decision_id="x"), "/data/decision_id"),
        (decision(parcours="UNKNOWN"), "/data/parcours"),
        (decision(territory="76"), "/data/territory"),
        (decision(journey=None), "/data/journey"),
        (decision(previous=None), "/data/previous"),
        (decision(corrects={"event": "x", "kind": "LATE"}), "/data/corrects/event"),
        (decision(person=person(1, birth_date="1985-13-01")), "/data/person/birth_date"),
        (decision(person=person(1, sex="X")), "/data/person/sex"),
        (decision(person=person(1, phones=["1"] * 5)), "/data/person/phones"),
        (decision(person=person(1, phones=[7])), "/data/person/phones/0"),
        (decision(person=person(1, address={"lines": ["a"] * 7})), "/data/person/address/lines"),
        (decision(person=person(1, address={"rue": "a"})), "/data/person/address/rue"),
        (decision(person=person(1, nir="285049999001")), "/data/person/nir"),
        (decision(person=person(1, france_travail_id="12345678")), "/data/person/france_travail_id"),
        (decision(person=person(1, matricule={"number": "", "fonorg": "CAF"})), "/data/person/matricule/number"),
        (decision(person=person(1, referent={"name": "X"})), "/data/person/referent"),
        (decision(person=[]), "/data/person"),
    ],
)  # fmt: skip
def test_each_broken_rule_is_named_at_its_place(broken, pointer):
    with pytest.raises(Problem) as caught:
        read_event(broken, Sender("cd", "76", ("CAF", "761")), current(), datetime.now(UTC))
    assert caught.value.status == 422
    assert pointer in [error.pointer for error in caught.value.errors]
    assert all(error.rule and "breaks the rule" not in error.rule for error in caught.value.errors)


async def test_all_broken_rules_are_named_at_once(database):
    async with doors(database) as hub:
        answer = await hub.publish("cd", decision(parcours="X", rank="1", person=person(1, sex="?")))
        assert [e["pointer"] for e in answer.json()["errors"]] == [
            "/data/parcours",
            "/data/rank",
            "/data/person/sex",
        ]


async def test_no_value_comes_back(database):
    """Not in the answer, and not through a value that stands where a name belongs."""
    async with doors(database) as hub:
        secret = "2850499999001"
        for broken in (
            decision(person=person(1, nir=secret + "99")),
            decision(parcours=secret),
            decision(decision_id=secret),
            decision(**{secret: 1}),
            decision() | {secret: 1},
            decision(person=person(1, **{"Monsieur Inventé": 1})),
        ):
            answer = await hub.publish("cd", broken)
            assert answer.status_code == 422
            assert secret not in answer.text
            assert "Invent" not in answer.text


async def test_tracing_extensions_change_nothing(database):
    async with doors(database) as hub:
        first = await hub.publish("cd", decision())
        traced = await hub.publish(
            "cd", decision() | {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "partitionkey": "k"}
        )
        assert traced.json() == first.json()
