"""CloudEvents headers: what is written is read, garbage is None."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.log import headers
from hub.log.registry import current

KEY = b"k" * 32
BODY = b"\0\0\0\0\1body"
PERSON = UUID("5f0e6a52-6a0c-4b57-9c1d-0b8f5f6f1a01")


def made(**more: Any) -> headers.EventHeaders:
    schema = current().get("NewRsaEntrant")
    source = headers.event_source("76", "p-1", "rsabem")
    identity = headers.event_id(source, "abc")
    fields = {
        "id": identity,
        "source": source,
        "type": schema.ce_type,
        "time": datetime(2026, 3, 4, 23, 0, tzinfo=UTC),
        "subject": PERSON,
        "dataschema": schema.dataschema,
        "territory": "76",
        "sequence": 42,
        "schemafingerprint": schema.fingerprint,
        "mac": headers.mac(KEY, identity, hashlib.sha256(BODY).digest()),
    }
    return headers.EventHeaders(**fields | more)


def changed(name: str, value: bytes | None) -> list[tuple[str, bytes]]:
    pairs = [(n, v) for n, v in headers.write(made()) if n != name]
    return pairs if value is None else [*pairs, (name, value)]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"causationid": PERSON, "correlationid": PERSON},
        {"addressee": "p-11"},
        {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"},
    ],
)
def test_what_is_written_is_read(more: dict[str, Any]) -> None:
    assert headers.read(headers.write(made(**more))) == made(**more)


def test_the_wire_form() -> None:
    found = dict(headers.write(made()))
    assert found["ce_specversion"] == b"1.0"
    assert found["ce_type"] == b"fr.spie.entrants.NewRsaEntrant.v1"
    assert found["ce_source"] == b"urn:spie:76:p-1:rsabem"
    assert found["ce_time"] == b"2026-03-04T23:00:00.000Z"
    assert found["ce_sequence"] == b"42"
    assert found["content-type"] == b"application/avro"
    assert "ce_addressee" not in found


def test_time_is_written_in_utc() -> None:
    paris = datetime(2026, 3, 5, 0, 0, tzinfo=timezone(timedelta(hours=1)))
    assert dict(headers.write(made(time=paris)))["ce_time"] == b"2026-03-04T23:00:00.000Z"


def test_other_headers_beside_ours_do_not_disturb() -> None:
    assert headers.read([*headers.write(made()), ("x-other", b"1")]) == made()


@pytest.mark.parametrize("name", [name for name, _ in headers.write(made())])
def test_a_missing_header_is_no_event(name: str) -> None:
    assert headers.read(changed(name, None)) is None


GARBAGE = [
    ("ce_specversion", b"0.3"),
    ("ce_id", b"not a uuid"),
    ("ce_id", b"{5F0E6A52-6A0C-4B57-9C1D-0B8F5F6F1A01}"),
    ("ce_subject", b"\xff\xfe"),
    ("ce_time", b"2026-03-04T23:00:00"),
    ("ce_time", b"yesterday"),
    ("ce_time", b"0001-01-01T00:00:00+23:59"),
    ("ce_sequence", b"-1"),
    ("ce_sequence", "٤٢".encode()),
    ("ce_sequence", b"9223372036854775808"),
    ("ce_sequence", b"9" * 5000),
    ("ce_hubmac", b"zz" * 32),
    ("ce_hubmac", b"ab"),
    ("ce_source", b"urn:spie:\x00"),
    ("ce_causationid", b"1"),
    ("content-type", b"application/json"),
]


@pytest.mark.parametrize(("name", "value"), GARBAGE)
def test_garbage_is_none(name: str, value: bytes) -> None:
    assert headers.read(changed(name, value)) is None


@pytest.mark.parametrize("pairs", [None, (), [("ce_id", None)], [("ce_id",)], [1], [("ce_id", "text")]])
def test_what_are_no_headers_is_none(pairs: Any) -> None:
    assert headers.read(pairs) is None


def test_a_header_that_comes_twice_is_none() -> None:
    pairs = headers.write(made())
    assert headers.read([*pairs, pairs[1]]) is None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([n for n, _ in headers.write(made())]) | st.text(max_size=5),
            st.binary(max_size=40),
        )
    )
)
def test_read_never_raises(pairs: list[tuple[str, bytes]]) -> None:
    assert headers.read(pairs) is None or pairs


def test_the_mac_binds_id_and_body() -> None:
    assert headers.is_own(KEY, made(), BODY)
    assert not headers.is_own(KEY, made(), BODY + b"x")
    assert not headers.is_own(b"o" * 32, made(), BODY)
    assert not headers.is_own(KEY, made(id=PERSON), BODY)


def test_ids_follow_from_source_and_source_event_id_alone() -> None:
    source = headers.event_source("76", "p-1", "rsabem")
    assert headers.event_id(source, "a") == headers.event_id(source, "a")
    assert headers.event_id(source, "a") != headers.event_id(source, "b")
    assert headers.event_id(source, "a") != headers.event_id(headers.event_source("79", "p-1", "rsabem"), "a")
    assert str(headers.event_id("urn:spie:76:p-1:rsabem", "a")) == "366cbe3d-87bb-5846-929f-d140b99f9591"


@pytest.mark.parametrize("part", ["", "a:b", " a", "a\n", "é"])
def test_a_source_is_made_of_opaque_ids(part: str) -> None:
    with pytest.raises(ValueError, match="ids"):
        headers.event_source("76", part, "flow")
