"""Framing, round trips, hostile bytes, and views that never show a field outside."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import avro.schema
import msgspec
import pytest
from avro.io import BinaryDecoder, DatumReader
from fastavro import parse_schema, schemaless_writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.log import codec, models
from hub.log.codec import Codec, Undecodable, bounded, compile_schema
from hub.log.limits import BadSchema
from hub.log.project import restrict
from hub.log.registry import RegistryUnavailable, UnknownSchema, current
from hub.log.schema import RecordSchema
from hub.log.writer import Invalid
from tests.log.strategies import open_form, values

VECTORS = Path(__file__).parent / "vectors"
RECORDS = current().records()
HOSTILE = json.loads((VECTORS / "avro_hostile.json").read_text())["cases"]
WIRE = json.loads((VECTORS / "confluent_wire.json").read_text())["cases"]
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

JOURNEY = UUID("3f0e6a52-6a0c-4b57-9c1d-0b8f5f6f1a01")
ENTRANT: dict[str, Any] = {
    "territory": "76",
    "journey": JOURNEY,
    "source": {"system": "caf", "file": "f.xml", "position": 17, "rule": None},
    "observed_at": datetime(2026, 3, 4, 23, 0, tzinfo=UTC),
    "information_received_on": date(2026, 3, 5),
    "payer": {"fonorg": "CAF", "numorg": "761"},
    "role": "DEM",
    "rules": ["TOP", "DIFF"],
    "groups": [{"code": "A", "source": "caf"}, {"code": "B", "source": "caf"}],
}


def sealed(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """(clear, person, sensitive) of an open form."""
    clear = dict(value)
    return clear, clear.pop("person"), clear.pop("sensitive", None)


def write(record: str, value: dict[str, Any]) -> bytes:
    """An event whose blocks are not encrypted: the codec does not look inside."""
    clear, person, sensitive = sealed(value)
    hidden = None if sensitive is None else codec.encode_block(record, "sensitive", sensitive)
    return codec.encode(record, clear, codec.encode_block(record, "person", person), hidden)


def read(record: str, framed: bytes) -> dict[str, Any]:
    """What `write` wrote."""
    value = dict(codec.decode(framed).value)
    for block in ("person", "sensitive"):
        if value.get(block) is not None:
            value[block] = codec.decode_block(record, block, value[block])
    return value


def by_fastavro(record: str, framed: bytes) -> bytes:
    """The same event as another writer writes it."""
    out = BytesIO()
    schemaless_writer(out, parse_schema(current().get(record).definition), codec.decode(framed).value)
    return out.getvalue()


# ------------------------------------------------------------------ round trips
@pytest.mark.parametrize("record", RECORDS)
def test_model_to_bytes_to_model(record: str) -> None:
    model = models.RECORDS[record]

    @quick
    @given(open_form(record))
    def round_trip(value: dict[str, Any]) -> None:
        first = model.model_validate_json(msgspec.json.encode(value))
        framed = write(record, first.model_dump())
        assert model.model_validate_json(msgspec.json.encode(read(record, framed))) == first
        assert read(record, framed) == value
        assert codec.bounded_decode(framed) == codec.decode(framed)
        assert framed[5:] == by_fastavro(record, framed)

    round_trip()


def test_bytes_of_an_event_do_not_change_by_accident() -> None:
    framed = codec.encode("NewRsaEntrant", ENTRANT, b"sealed")
    schema_id = current().id_for("NewRsaEntrant")
    assert framed[:5] == b"\0" + schema_id.to_bytes(4)
    assert framed[5:].hex() == GOLDEN


GOLDEN = "".join(
    [
        "043736",  # territory 76
        "0248" + b"3f0e6a52-6a0c-4b57-9c1d-0b8f5f6f1a01".hex(),  # journey
        "06636166" + "020a662e786d6c" + "0222" + "00",  # source: caf, f.xml, 17, no rule
        "80f6a2b19767",  # observed_at
        "00",  # corrects nothing
        "0c7365616c6564",  # person: the bytes "sealed"
        "cac002" + "000000",  # received on 2026-03-05; other dates null
        "06434146" + "06373631",  # payer CAF 761
        "00" + "04020400",  # DEM; TOP, DIFF
        "00",  # first time not known
        "0402410663616602420663616600",  # groups A and B
    ]
)


def test_another_library_reads_the_same_event() -> None:
    definition = avro.schema.parse(json.dumps(current().get("NewRsaEntrant").definition))
    value = DatumReader(definition).read(BinaryDecoder(BytesIO(bytes.fromhex(GOLDEN))))
    value["journey"] = UUID(value["journey"])  # this one leaves ids as text
    assert value == codec.decode(codec.encode("NewRsaEntrant", ENTRANT, b"sealed")).value


def test_missing_fields_take_their_default_and_the_version_is_told() -> None:
    decoded = codec.decode(codec.encode("NewRsaEntrant", ENTRANT, b"sealed"))
    assert (decoded.record, decoded.version) == ("NewRsaEntrant", 1)
    assert decoded.value["person"] == b"sealed"
    assert decoded.value["claim_on"] is None
    assert decoded.value["observed_at"] == ENTRANT["observed_at"]


def test_a_null_sensitive_block_stays_null() -> None:
    body = codec.encode("MeasureRequested", measure(type="mobilite"), b"sealed")
    assert codec.decode(body).value["sensitive"] is None


def measure(**more: Any) -> dict[str, Any]:
    common = {name: ENTRANT[name] for name in ("territory", "journey", "source", "observed_at")}
    return {**common, "measure_id": str(JOURNEY), "addressee": "p-1", "expires_on": date(2026, 5, 5), **more}


# ------------------------------------------------------------------ what is never written
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"information_received_on": datetime(2026, 3, 5, tzinfo=UTC)}, "information_received_on"),
        ({"information_received_on": "2026-03-05"}, "information_received_on"),
        ({"observed_at": datetime(2026, 3, 5)}, "observed_at"),
        ({"journey": "not a uuid"}, "journey"),
        ({"journey": str(JOURNEY).upper()}, "journey"),
        ({"source": {"system": "caf", "position": 1.9}}, "source.position"),
        ({"source": {"system": "caf", "position": True}}, "source.position"),
        ({"source": {"system": "caf", "position": 2**63}}, "source.position"),
        ({"source": {"system": "a" * 2000}}, "source.system"),
        ({"source": {"system": "\ud800"}}, "source.system"),
        ({"source": {}}, "source.system"),
        ({"role": "UNKNOWN"}, "role"),
        ({"role": "ENF"}, "role"),
        ({"rules": []}, "rules"),
        ({"rules": ("TOP",)}, "rules"),
        ({"first_time": 1}, "first_time"),
        ({"territory": None}, "territory"),
        ({"nir": "x"}, ""),
        ({"person": {"birth_name": "x"}}, "person"),
    ],
)
def test_a_value_that_would_be_poison_is_refused_with_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        codec.encode("NewRsaEntrant", ENTRANT | change, b"sealed")
    assert caught.value.field == field


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Invalid, match="role: is missing"):
        codec.encode("NewRsaEntrant", {k: v for k, v in ENTRANT.items() if k != "role"}, b"sealed")


def test_an_error_in_a_block_names_the_block_and_never_the_value() -> None:
    value = {"birth_name": "SECRET-TEST", "first_names": [], "birth_date": "SECRET", "phones": []}
    with pytest.raises(Invalid) as caught:
        codec.encode_block("NewRsaEntrant", "person", value)
    assert caught.value.field == "person.birth_date"
    assert "SECRET" not in str(caught.value)


def test_a_record_has_only_its_own_blocks() -> None:
    with pytest.raises(UnknownSchema):
        codec.encode_block("NewRsaEntrant", "sensitive", {})
    with pytest.raises(Invalid, match="unknown fields: sensitive"):
        codec.encode("NewRsaEntrant", ENTRANT, b"sealed", b"hidden")
    with pytest.raises(UnknownSchema):
        codec.encode("NoSuchRecord", {}, b"")


# ------------------------------------------------------------------ framing
class OneRecord:
    """A registry double: ids 1 and 2³¹-1 are a record of one int; `down` = it cannot be reached."""

    def __init__(self, down: bool = False) -> None:
        self.down = down

    def schema_for(self, schema_id: int) -> RecordSchema:
        if self.down:
            raise RegistryUnavailable("no answer")
        if schema_id not in (1, 2**31 - 1):
            raise UnknownSchema(f"no schema has id {schema_id}")
        definition = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
        return RecordSchema("R", 1, "hub", definition, {}, "", schema_id)

    def get(self, record: str, version: int | None = None) -> RecordSchema:
        return self.schema_for(1)


@pytest.mark.parametrize("case", WIRE, ids=[case["hex"] or "empty" for case in WIRE])
@pytest.mark.parametrize("door", [Codec.decode, Codec.bounded_decode])
def test_framing_vectors(case: dict[str, Any], door: Any) -> None:
    framed = bytes.fromhex(case["hex"])
    if isinstance(case["expect"], dict):
        assert framed[5:].hex() == case["expect"]["body_hex"]
        assert int.from_bytes(framed[1:5]) == case["expect"]["schema_id"]
        assert door(Codec(OneRecord()), framed).value == {"a": 1}
    else:
        with pytest.raises(Undecodable):
            door(Codec(OneRecord()), framed)


def test_an_unreachable_registry_is_retry_and_an_unknown_id_is_poison() -> None:
    framed = bytes.fromhex("00ffffffff02")
    with pytest.raises(RegistryUnavailable):
        Codec(OneRecord(down=True)).decode(framed)
    with pytest.raises(Undecodable):
        Codec(OneRecord()).decode(framed)
    assert not issubclass(RegistryUnavailable, Undecodable)
    assert not issubclass(Undecodable, RegistryUnavailable)


def test_a_known_id_is_read_while_the_registry_is_down() -> None:
    registry = OneRecord()
    made = Codec(registry)
    made.decode(bytes.fromhex("000000000102"))
    registry.down = True
    assert made.decode(bytes.fromhex("000000000104")).value == {"a": 2}


# ------------------------------------------------------------------ hostile bytes
def payload(text: str) -> bytes:
    """`repeat:<hex>*<n>+<hex>` or plain hex."""
    if not text.startswith("repeat:"):
        return bytes.fromhex(text)
    unit, _, rest = text.removeprefix("repeat:").partition("*")
    times, _, tail = rest.partition("+")
    return bytes.fromhex(unit) * int(times) + bytes.fromhex(tail)


SCRIPT = """
import json, sys
from hub.log.codec import Undecodable, bounded, compile_schema
from hub.log.limits import BadSchema
case = json.load(sys.stdin)
try:
    bounded(compile_schema(case["schema"]), bytes.fromhex(case["hex"]))
except (Undecodable, BadSchema) as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("case", HOSTILE, ids=[case["name"] for case in HOSTILE])
def test_hostile_vectors_are_refused(case: dict[str, Any]) -> None:
    body = payload(case["payload_hex"])
    if "SEGFAULT" in case["observed_fastavro_1_13_1"]:  # in a process of its own: the tests would die with it
        data = json.dumps({"schema": case["schema"], "hex": body.hex()})
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], input=data, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout.strip()) == (0, "BadSchema"), run.stderr
    else:
        with pytest.raises((Undecodable, BadSchema)):
            bounded(compile_schema(case["schema"]), body)


def test_what_is_well_formed_passes_the_door() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": {"type": "array", "items": "long"}}],
    }
    assert bounded(compile_schema(schema), bytes.fromhex("04020400")) == {"a": [1, 2]}


@pytest.mark.parametrize("body", ["0302040200", "0202020400", "0482000400"])
def test_another_spelling_of_the_same_values_is_refused_at_the_door(body: str) -> None:
    """Negative block counts, two blocks, an over-long number: readers agree on the value, hashes would not."""
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": {"type": "array", "items": "long"}}],
    }
    with pytest.raises(Undecodable):
        bounded(compile_schema(schema), bytes.fromhex(body))


def test_too_many_values_and_too_many_bytes_are_refused() -> None:
    schema = {"type": "array", "items": "boolean"}
    count = 100_001
    varint = bytes([(count * 2 & 0x7F) | 0x80, (count * 2 >> 7 & 0x7F) | 0x80, count * 2 >> 14])
    with pytest.raises(Undecodable, match="more than"):
        bounded(compile_schema(schema), varint + b"\1" * count + b"\0")
    with pytest.raises(Undecodable, match="at most"):
        codec.bounded_decode(codec.encode("NewRsaEntrant", ENTRANT, b"x" * 2**20))


def test_the_door_refuses_the_reserved_symbol() -> None:
    body = bytearray(codec.encode("NewRsaEntrant", ENTRANT | {"groups": []}, b"sealed"))
    at = body.rindex(b"\x06761") + 4
    assert body[at] == 0  # role DEM
    body[at] = 4  # UNKNOWN
    assert codec.decode(bytes(body)).value["role"] == "UNKNOWN"
    with pytest.raises(Undecodable, match="role"):
        codec.bounded_decode(bytes(body))


@quick
@given(st.binary(max_size=200), st.sampled_from(RECORDS))
def test_random_bytes_never_raise_anything_else(data: bytes, record: str) -> None:
    framed = b"\0" + current().id_for(record).to_bytes(4) + data
    for door in (codec.decode, codec.bounded_decode):
        with suppress(Undecodable):
            assert door(framed).record == record


@quick
@given(st.data())
def test_one_changed_byte_is_read_or_refused_but_never_accepted_as_two_spellings(data: st.DataObject) -> None:
    body = bytearray(codec.encode("NewRsaEntrant", ENTRANT, b"sealed"))
    at = data.draw(st.integers(5, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        decoded = codec.bounded_decode(bytes(body))
    except Undecodable:
        return
    clear = dict(decoded.value)
    person = clear.pop("person")
    assert codec.encode("NewRsaEntrant", clear, person) == bytes(body)


# ------------------------------------------------------------------ views
def leaves(value: Any, prefix: str = "") -> set[str]:
    """Dotted names of all that a value shows; an empty or null holder counts as itself."""
    if isinstance(value, dict):
        return {name for key, item in value.items() for name in leaves(item, f"{prefix}{key}.")} or {
            prefix[:-1]
        }
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return {name for item in value for name in leaves(item, prefix)}
    return {prefix[:-1]}


def shows_only(value: dict[str, Any], fields: frozenset[str]) -> bool:
    """Whether each thing shown is named, lies below a named one, or is an empty holder of named ones."""
    return all(
        any(name == f or name.startswith(f"{f}.") or f.startswith(f"{name}.") for f in fields)
        for name in leaves(value)
        if name
    )


def names(block: str | None = None) -> st.SearchStrategy[frozenset[str]]:
    places = [p for record in RECORDS for p in current().get(record).fields.values()]
    found = {
        p.name.partition(".")[2] if block else p.name for p in places if p.block == block and p.name != block
    }
    return st.frozensets(
        st.sampled_from(sorted(found)) | st.sampled_from(["nope", "source.nope", "territory.x"]), max_size=8
    )


@pytest.mark.parametrize("record", RECORDS)
def test_project_never_shows_a_field_outside_and_shows_all_inside(record: str) -> None:
    @quick
    @given(open_form(record), names())
    def holds(value: dict[str, Any], fields: frozenset[str]) -> None:
        decoded = codec.decode(write(record, value)).value
        seen = codec.project(decoded, fields)
        assert shows_only(seen, fields)
        for name in fields:
            if name in decoded:
                assert seen[name] == decoded[name]
        assert not {"person", "sensitive"} & seen.keys()

    holds()


@pytest.mark.parametrize("record", RECORDS)
def test_a_block_read_by_a_view_is_the_whole_block_projected(record: str) -> None:
    @quick
    @given(values(current().get(record).blocks["person"]), names("person"))
    def same(value: dict[str, Any], fields: frozenset[str]) -> None:
        data = codec.encode_block(record, "person", value)
        seen = codec.decode_block(record, "person", data, fields)
        assert seen == codec.project(value, fields)
        assert shows_only(seen, fields)

    same()


def test_a_view_of_no_known_name_shows_nothing() -> None:
    data = codec.encode_block("NewRsaEntrant", "person", person())
    assert codec.decode_block("NewRsaEntrant", "person", data, frozenset({"nope", "birth_name.x"})) == {}
    assert codec.project(ENTRANT, frozenset()) == {}


def test_dotted_names_reach_into_records_and_lists() -> None:
    data = codec.encode_block("NewRsaEntrant", "person", person())
    fields = frozenset({"address.postal_code", "birth_name"})
    seen = {"birth_name": "TEST", "address": {"postal_code": "76000"}}
    assert codec.decode_block("NewRsaEntrant", "person", data, fields) == seen
    assert codec.project(ENTRANT, frozenset({"groups.code"})) == {"groups": [{"code": "A"}, {"code": "B"}]}
    both = frozenset({"payer", "payer.fonorg"})
    assert codec.project(ENTRANT, both) == {"payer": ENTRANT["payer"]}


def person() -> dict[str, Any]:
    address = {"lines": ["1 RUE TEST"], "postal_code": "76000", "insee_code": "76540", "commune": "ROUEN"}
    return {
        "birth_name": "TEST",
        "first_names": ["A"],
        "birth_date": "1990-01-01",
        "phones": [],
        "address": address,
    }


def test_bytes_after_a_block_are_refused() -> None:
    data = codec.encode_block("NewRsaEntrant", "person", person())
    with pytest.raises(Undecodable, match="after the end"):
        codec.decode_block("NewRsaEntrant", "person", data + b"x", frozenset({"birth_name"}))
    with pytest.raises(Undecodable):
        codec.decode_block("NewRsaEntrant", "person", data[:-1])


def test_one_type_may_be_cut_in_two_ways() -> None:
    inner = {
        "type": "record",
        "name": "I",
        "namespace": "x",
        "fields": [{"name": n, "type": "string"} for n in "ab"],
    }
    fields = [{"name": "one", "type": inner}, {"name": "two", "type": ["null", "x.I"]}]
    schema = {"type": "record", "name": "R", "namespace": "x", "fields": fields}
    cut = restrict(schema, frozenset({"one.a", "two.b"}))
    shapes = [f["type"] for f in cut["fields"]]
    assert [f["name"] for f in shapes[0]["fields"]] == ["a"]
    assert [f["name"] for f in shapes[1][1]["fields"]] == ["b"]
    parse_schema(cut)
