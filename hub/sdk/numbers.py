"""Official numbers as connectors receive them: strict shape first (ASCII only), then the key by python-stdnum.

python-stdnum alone drops separators, takes non-ASCII digits and impossible months. Nothing here repairs or guesses,
save the two paddings of a CAF number; callers strip surrounding blanks. Errors never quote the number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stdnum import luhn
from stdnum.exceptions import ValidationError
from stdnum.fr import nir as stdnum_nir
from stdnum.fr import siret as stdnum_siret


class NumberError(ValueError):
    """`reason` is a stable code: length, shape or key."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Nir:
    """A NIR: its 13 characters identify; `key_received` says whether the source sent the 2 digits of the key."""

    thirteen: str
    key_received: bool


@dataclass(frozen=True, slots=True)
class Matricule:
    """A payer's number of a household. `is_nir`: an MSA matricule is a NIR, so it is never shown, told or logged as an
    allocation number."""

    value: str
    is_nir: bool


# sex 1, 2 (RNIPP), 3, 4 (foreign, being registered), 7, 8 (temporary); months 01-12, and 20-42, 50-99 for incomplete
# civil status; Corsica 2A, 2B. Source: INSEE, "NIR".
_NIR = re.compile(
    r"[123478][0-9]{2}(?:0[1-9]|1[0-2]|[23][0-9]|4[0-2]|[5-9][0-9])(?:[0-9]{2}|2[AB])[0-9]{6}", re.ASCII
)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_MATRICULE = re.compile(r"[0-9A-Z]{1,15}", re.ASCII)


def parse_nir(text: str) -> Nir:
    """A NIR of 13 characters, or of 15 with its key. Raises NumberError."""
    if len(text) not in (13, 15):
        raise NumberError("length", "a NIR has 13 characters, or 15 with its key")
    if not _NIR.fullmatch(text[:13]):
        raise NumberError("shape", "not the shape of a NIR (sex, year, month, birthplace, order)")
    if len(text) == 13:
        return Nir(text, False)
    if not _DIGITS.fullmatch(text[13:]):
        raise NumberError("shape", "the key of a NIR is two digits")
    if not stdnum_nir.is_valid(text):
        raise NumberError("key", "the key of the NIR does not match")
    return Nir(text[:13], True)


def is_invented_nir(thirteen: str) -> bool:
    """True when no living person can have it: birthplace 99 999, or commune 990 (not allocated in the COG)."""
    return thirteen[5:10] == "99999" or thirteen[7:10] == "990"


def parse_siren(text: str) -> str:
    """A SIREN: 9 digits with a Luhn key. Raises NumberError."""
    _shape(text, 9, "SIREN")
    if not luhn.is_valid(text):
        raise NumberError("key", "the key of the SIREN does not match")
    return text


def parse_siret(text: str) -> str:
    """A SIRET: 14 digits, Luhn; for La Poste (SIREN 356000000) a digit sum that is a multiple of 5, head office apart.
    Raises NumberError."""
    _shape(text, 14, "SIRET")
    try:
        return stdnum_siret.validate(text)
    except ValidationError as error:
        raise NumberError("key", "the key of the SIRET does not match") from error


def normalise_matricule(fonorg: str, text: str) -> Matricule:
    """A household's number at its payer. CAF: 7 digits (kept as text, left zeros restored), also when written as 15 =
    7 digits + 8 zeros. MSA: the NIR, whose key or trailing zeros are cut. Anything else stays as it is, up to 15
    capitals and digits. Raises NumberError."""
    if not _MATRICULE.fullmatch(text):
        raise NumberError("shape", "a matricule is 1 to 15 digits (capitals in test files)")
    if fonorg == "MSA" and (found := _msa_nir(text)):
        return Matricule(found, True)
    if _DIGITS.fullmatch(text):
        text = _seven(text)
        if not text.strip("0"):
            raise NumberError("shape", "a matricule is not all zeros")
    return Matricule(text, False)


def _seven(digits: str) -> str:
    if len(digits) <= 7:
        return digits.zfill(7)
    fifteen = digits.zfill(15)  # a number that lost its leading zeros on its way through an integer
    return fifteen[:7] if fifteen.endswith("00000000") else digits


def _msa_nir(text: str) -> str | None:
    for candidate in (text, text[:13] if text[13:] == "00" else ""):
        try:
            return parse_nir(candidate).thirteen
        except NumberError:
            continue
    # whatever has a NIR's length and beginning is treated as one: better hidden for nothing than shown by mistake
    return text[:13] if len(text) in (13, 15) and _NIR.fullmatch(text[:13]) else None


def _shape(text: str, length: int, name: str) -> None:
    if not _DIGITS.fullmatch(text):
        raise NumberError("shape", f"a {name} is digits only")
    if len(text) != length:
        raise NumberError("length", f"a {name} has {length} digits")
