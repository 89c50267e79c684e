"""Official numbers against the project's vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.sdk.numbers import (
    Matricule,
    Nir,
    NumberError,
    is_invented_nir,
    normalise_matricule,
    parse_nir,
    parse_siren,
    parse_siret,
)

VECTORS = Path(__file__).with_name("vectors")
NIR = json.loads((VECTORS / "nir.json").read_text(encoding="utf-8"))
SIRET = json.loads((VECTORS / "siret.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", range(len(NIR["valid"])))
def test_valid_nir_with_key_is_taken(number: int) -> None:
    text = NIR["valid"][number]
    assert parse_nir(text) == Nir(text[:13], True)
    assert parse_nir(text[:13]) == Nir(text[:13], False)
    assert is_invented_nir(text[:13])


@pytest.mark.parametrize("number", range(len(NIR["valid_13_without_key"])))
def test_nir_of_13_without_key_is_taken(number: int) -> None:
    assert parse_nir(NIR["valid_13_without_key"][number]).key_received is False


@pytest.mark.parametrize("case", NIR["invalid"], ids=[case["why"] for case in NIR["invalid"]])
def test_invalid_nir_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(NumberError) as refused:
        parse_nir(case["value"])
    assert refused.value.reason in ("length", "shape", "key")
    assert not case["value"] or case["value"] not in str(refused.value)


@given(st.sampled_from(NIR["valid"]), st.integers(0, 14), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_found_by_the_key(valid: str, place: int, digit: str) -> None:
    changed = valid[:place] + digit + valid[place + 1 :]
    if changed != valid:
        with pytest.raises(NumberError):
            parse_nir(changed)


def test_a_nir_of_a_real_birthplace_is_not_invented() -> None:
    assert not is_invented_nir("2690549588157")


@pytest.mark.parametrize("text", SIRET["valid_siret"] + SIRET["valid_la_poste_not_luhn"] + ["35600000000048"])
def test_valid_siret_is_taken(text: str) -> None:
    assert parse_siret(text) == text


@pytest.mark.parametrize(
    "text", [*SIRET["invalid"], "", "999999006 0003", "９9999900600003", "35600000000002"]
)
def test_invalid_siret_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        parse_siret(text)


def test_siren_has_nine_digits_and_a_key() -> None:
    assert parse_siren(SIRET["valid_siren"][0]) == SIRET["valid_siren"][0]
    for wrong in ("999999007", "99999900", "9999990060", "A99999006"):
        with pytest.raises(NumberError):
            parse_siren(wrong)


@pytest.mark.parametrize(
    ("fonorg", "text", "value", "is_nir"),
    [
        ("CAF", "034614500000000", "0346145", False),
        ("CAF", "34614500000000", "0346145", False),
        ("CAF", "346100000000", "0003461", False),
        ("CAF", "0346145", "0346145", False),
        ("CAF", "346145", "0346145", False),
        ("CAF", "1", "0000001", False),
        ("CAF", "123456789012345", "123456789012345", False),
        ("CAF", "ABC1234", "ABC1234", False),
        ("MSA", "185077599000161", "1850775990001", True),
        ("MSA", "1850775990001", "1850775990001", True),
        ("MSA", "185077599000100", "1850775990001", True),
        ("MSA", "185077599000162", "1850775990001", True),
        ("MSA", "192102A99000414", "192102A990004", True),
        ("MSA", "0346145", "0346145", False),
        ("CAF", "185077599000161", "185077599000161", False),
    ],
)
def test_matricule_is_brought_to_one_form(fonorg: str, text: str, value: str, is_nir: bool) -> None:
    assert normalise_matricule(fonorg, text) == Matricule(value, is_nir)


@pytest.mark.parametrize(
    "text", ["", "03 46", "0346145\n", "1234567890123456", "０346145", "000000000000000", "abc"]
)
def test_what_is_no_matricule_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        normalise_matricule("CAF", text)
