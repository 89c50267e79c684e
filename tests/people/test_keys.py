"""Keys: made once, refused when others may read them; a sealed value opens for one person at one place only."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.people.keys import (
    CACHE_SECONDS,
    DataKeys,
    KeyLost,
    KeyServiceDown,
    MasterKey,
    MasterKeyError,
    Tampered,
    master_key,
)

ANNA, BORIS = UUID(int=1), UUID(int=2)
SECRET = bytes(range(32))


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def data_keys(clock: Callable[[], float] | None = None, limit: int = 100) -> DataKeys:
    return DataKeys(MasterKey(SECRET), clock or Clock(), limit)


# ------------------------------------------------------------------------------------------------ the file


def test_the_key_file_is_made_once_also_by_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: master_key(path).outward_id("p1", ANNA), range(8)))
    assert len(set(made)) == 1
    assert path.stat().st_size == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]


def test_two_hubs_make_different_keys(tmp_path: Path) -> None:
    assert master_key(tmp_path / "a").derive("wrap") != master_key(tmp_path / "b").derive("wrap")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610, 0o666])
def test_a_key_that_others_may_touch_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(SECRET)
    path.chmod(mode)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        master_key(path)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 4096])
def test_a_key_of_another_size_is_refused_and_left_alone(tmp_path: Path, size: int) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b"k" * size)
    path.chmod(0o600)
    with pytest.raises(MasterKeyError, match="instead of 32: restore it from its backup"):
        master_key(path)
    assert path.read_bytes() == b"k" * size


def test_an_existing_key_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(SECRET)
    path.chmod(0o400)
    assert master_key(path).derive("wrap") == MasterKey(SECRET).derive("wrap")


# ------------------------------------------------------------------------------------------------ derivations


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block, written out."""
    extracted = hmac.new(b"spie-hub/1", secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def test_labels_and_encodings_never_change() -> None:
    master = MasterKey(SECRET)
    assert master.derive("wrap") == hkdf(SECRET, b"wrap")
    parts = b"\x00\x00\x00\x03nir\x00\x00\x00\x0d1850775990001\x00\x00\x00\x0a1985-07-01"
    expected = hmac.new(hkdf(SECRET, b"blind/76"), parts, hashlib.sha256).digest()
    assert master.blind("76", "nir", "1850775990001", "1985-07-01") == expected


def test_every_use_has_a_key_of_its_own() -> None:
    labels = [
        "wrap",
        "blind/76",
        "blind/79",
        "source-id/76",
        "digest/76",
        "outward/p1",
        "outward/p2",
        "header",
    ]
    labels += ["canonical", "message", "told/p1"]
    assert len({MasterKey(SECRET).derive(label) for label in labels}) == len(labels)


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_blind_indexes_are_equal_only_for_equal_parts(first: list[str], second: list[str]) -> None:
    master = MasterKey(SECRET)
    assert (master.blind("76", "r", *first) == master.blind("76", "r", *second)) == (first == second)


def test_a_blind_index_says_nothing_in_another_territory_or_rule() -> None:
    master = MasterKey(SECRET)
    found = {master.blind(territory, rule, "x") for territory in ("76", "79") for rule in ("nir", "name")}
    assert len(found) == 4


def test_an_outward_id_is_the_partners_own() -> None:
    master = MasterKey(SECRET)
    ids = {master.outward_id(partner, person) for partner in ("p1", "p2") for person in (ANNA, BORIS)}
    assert len(ids) == 4
    assert all(re.fullmatch(r"p1:[A-Z2-7]{26}", each) for each in ids)
    assert master.outward_id("p1", ANNA) == MasterKey(SECRET).outward_id("p1", ANNA)


def test_source_ids_are_hex_and_follow_content() -> None:
    master = MasterKey(SECRET)
    assert re.fullmatch(r"[0-9a-f]{64}", master.source_id("76", "CAF", "761", "2026-04"))
    assert master.source_id("76", "a", "bc") != master.source_id("76", "ab", "c")
    assert master.source_id("76", "a") != master.digest("76", "a")


def test_a_master_key_does_not_show_itself() -> None:
    master = MasterKey(SECRET)
    assert SECRET.hex() not in repr(master)
    assert repr(SECRET) not in repr(master)


# ------------------------------------------------------------------------------------------------ sealing


@given(st.binary(max_size=600), st.text(max_size=80))
def test_what_is_sealed_opens_at_its_place(plaintext: bytes, place: str) -> None:
    keys = data_keys()
    keys.new_key(ANNA)
    sealed = keys.seal(ANNA, plaintext, place)
    assert keys.open(ANNA, sealed, place) == plaintext
    assert sealed != keys.seal(ANNA, plaintext, place)


@given(st.binary(min_size=8, max_size=64), st.data())
def test_one_changed_bit_is_seen(plaintext: bytes, data: st.DataObject) -> None:
    keys = data_keys()
    keys.new_key(ANNA)
    sealed = bytearray(keys.seal(ANNA, plaintext, "e:person"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((Tampered, KeyLost)):
        keys.open(ANNA, bytes(sealed), "e:person")


@given(st.integers(0, 30))
def test_a_cut_value_is_seen(length: int) -> None:
    keys = data_keys()
    keys.new_key(ANNA)
    sealed = keys.seal(ANNA, b"plaintext of some length", "e:person")[:length]
    with pytest.raises((Tampered, KeyLost)):
        keys.open(ANNA, sealed, "e:person")


def test_a_value_moved_to_another_block_event_or_person_does_not_open() -> None:
    keys = data_keys()
    keys.new_key(ANNA)
    keys.new_key(BORIS)
    sealed = keys.seal(ANNA, b"anna", "event-1:person")
    for place in ("event-1:sensitive", "event-2:person", "", "event-1:person "):
        with pytest.raises(Tampered):
            keys.open(ANNA, sealed, place)
    with pytest.raises(Tampered):
        keys.open(BORIS, sealed, "event-1:person")


def test_a_wrapped_key_moved_to_another_person_or_version_does_not_unwrap() -> None:
    keys = data_keys()
    wrapped = keys.new_key(ANNA, 1)
    with pytest.raises(KeyServiceDown):
        keys.load(BORIS, [(1, wrapped)])
    with pytest.raises(KeyServiceDown):
        keys.load(ANNA, [(2, wrapped)])


def test_another_master_key_unwraps_nothing_and_says_what_to_do() -> None:
    wrapped = data_keys().new_key(ANNA)
    other = DataKeys(MasterKey(b"o" * 32), Clock())
    with pytest.raises(KeyServiceDown, match="not the master key of this database"):
        other.load(ANNA, [(1, wrapped)])


def test_an_older_version_opens_and_the_newest_seals() -> None:
    keys = data_keys()
    first = keys.new_key(ANNA, 1)
    old = keys.seal(ANNA, b"old", "place")
    second = keys.new_key(ANNA, 2)
    new = keys.seal(ANNA, b"new", "place")
    fresh = data_keys()
    fresh.load(ANNA, [(1, first), (2, second)])
    assert [fresh.open(ANNA, sealed, "place") for sealed in (old, new)] == [b"old", b"new"]
    only_new = data_keys()
    only_new.load(ANNA, [(1, None), (2, second)])
    assert only_new.open(ANNA, new, "place") == b"new"
    with pytest.raises(KeyLost):
        only_new.open(ANNA, old, "place")


# ------------------------------------------------------------------------------------------------ what is held


def test_no_row_and_a_destroyed_row_are_lost_keys() -> None:
    for rows in ([], [(1, None)]):
        keys = data_keys()
        keys.load(ANNA, rows)
        assert keys.missing([ANNA]) == []
        with pytest.raises(KeyLost):
            keys.seal(ANNA, b"x", "place")


def test_a_key_that_is_not_held_is_a_key_service_that_is_down() -> None:
    keys = data_keys()
    with pytest.raises(KeyServiceDown):
        keys.open(ANNA, b"x" * 40, "place")


def test_a_key_is_held_for_five_minutes_at_most() -> None:
    clock = Clock()
    keys = data_keys(clock)
    wrapped = keys.new_key(ANNA)
    sealed = keys.seal(ANNA, b"x", "place")
    clock.now += CACHE_SECONDS - 0.001
    assert keys.open(ANNA, sealed, "place") == b"x"
    clock.now += 0.001
    assert keys.missing([ANNA, BORIS, ANNA]) == [ANNA, BORIS]
    with pytest.raises(KeyServiceDown):
        keys.open(ANNA, sealed, "place")
    keys.load(ANNA, [(1, wrapped)])
    assert keys.open(ANNA, sealed, "place") == b"x"


def test_a_forgotten_key_is_gone_at_once() -> None:
    keys = data_keys()
    keys.new_key(ANNA)
    keys.forget(ANNA)
    keys.forget(BORIS)
    assert keys.missing([ANNA]) == [ANNA]


def test_the_cache_is_bounded_and_drops_the_oldest() -> None:
    keys = data_keys(limit=3)
    persons = [uuid4() for _ in range(5)]
    for person in persons:
        keys.new_key(person)
    assert keys.missing(persons) == persons[:2]
