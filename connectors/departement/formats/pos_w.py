"""``POS_W_*.csv``: WebRSA's positionings on actions, 50 columns whose misspelt names are the contract. One row = one fiche.

Free texts (`motif_pos`, the `…_autre` columns) are never looked at.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO

from hub.sdk.codes import code_table
from hub.sdk.inbound import Address, FileRefused, Position, Reject, Subject

CODES = Path(__file__).parents[1] / "codes"
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FT_ID = re.compile(r"[0-9]{11}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ANSWERED = (
    "beneficiaire_retenu", "beneficiaire_integre_action", "beneficiaire_termine_action", "resultat_action",
)  # fmt: skip
COLUMNS = tuple(row.theirs for row in code_table(CODES / "pos_w_colonnes.csv").rows)


@dataclass(frozen=True, slots=True)
class Positioning:
    """One fiche de prescription; ids are WebRSA's. `answered`: its return columns say that the provider has decided."""

    position: Position
    fiche: int
    subject: Subject
    convention: str
    structure: str | None
    extracted_on: date
    sent_on: date | None
    answered: bool


def decoded(source: BinaryIO) -> io.StringIO:
    """The whole file as text (UTF-8, with or without BOM). Raises FileRefused naming the line that is no UTF-8."""
    source.seek(0)
    data = source.read()
    try:
        return io.StringIO(data.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileRefused(
            "encoding", f"line {line} is not UTF-8: export the file again without opening it in between", line
        ) from None


def rows(source: BinaryIO) -> Iterator[tuple[Position, list[str]]]:
    """Rows below the header with their place. Raises FileRefused for other columns or a quote that never ends."""
    reader = csv.reader(decoded(source), delimiter=";", strict=True)
    try:
        header = next(reader, [])
        if tuple(name.strip() for name in header) != COLUMNS:
            missing = [name for name in COLUMNS if name not in header]
            more = [name for name in header if name not in COLUMNS]
            raise FileRefused(
                "wrong_columns",
                f"not the 50 columns of POS_W in their order; missing: {', '.join(missing) or 'none'}; unknown: {len(more)}",
                1,
            )
        number = 0
        for cells in reader:
            if cells:
                number += 1
                yield Position(number, reader.line_num), cells
    except csv.Error:
        raise FileRefused(
            "malformed",
            f"near line {reader.line_num}: a quote is not closed or stands wrongly",
            reader.line_num,
        ) from None


def positioning(position: Position, cells: list[str]) -> Positioning | Reject:
    """Check one row. A reject names the column, never the value."""
    if len(cells) != len(COLUMNS):
        return Reject(position, "wrong_cells", None, f"{len(cells)} cells instead of {len(COLUMNS)}")
    row = {name: value.strip() for name, value in zip(COLUMNS, cells, strict=True)}
    for name, value in row.items():
        if _CONTROL.search(value):
            return Reject(position, "control_character", name)
    for name in ("identifiant_webrsa", "beneficiaire_identifiant"):
        if not _NUMBER.fullmatch(row[name]) or not int(row[name]):
            return Reject(position, "not_an_id", name, "a whole number from 1")
    for name in ("beneficiaire_nom", "beneficiaire_prenom", "action_numero_convention"):
        if not row[name]:
            return Reject(position, "missing", name)
    days: dict[str, date | None] = {}
    for name in ("e_date_extraction", "beneficiaire_naissance", "date_transmission"):
        try:
            days[name] = date.fromisoformat(row[name]) if _DATE.fullmatch(row[name]) else None
        except ValueError:
            days[name] = None
        if days[name] is None and (row[name] or name != "date_transmission"):
            return Reject(position, "not_a_date", name, "YYYY-MM-DD")
    structure = row["structref_id"]
    return Positioning(
        position,
        int(row["identifiant_webrsa"]),
        _subject(row),
        row["action_numero_convention"],
        str(int(structure)) if _NUMBER.fullmatch(structure) else None,
        days["e_date_extraction"],
        days["date_transmission"],
        any(row[name] for name in _ANSWERED),
    )


def _subject(row: dict[str, str]) -> Subject:
    sex = code_table(CODES / "civilites.csv").to_hub(row["beneficiaire_civilite"].upper())
    number = row["beneficiaire_numero_caf"]
    person = str(int(row["beneficiaire_identifiant"]))
    street = " ".join(row["beneficiaire_adresse"].split())
    code, town = row["beneficiaire_code_postal"], row["beneficiaile_ville"]
    france_travail = row["beneficiaire_pole_emploi_identifiant"]
    return Subject(
        name=row["beneficiaire_nom"],
        first_names=(row["beneficiaire_prenom"],),
        birth_date=row["beneficiaire_naissance"],
        sex=sex.ours if sex.known else None,
        phones=tuple(
            filter(None, (row["beneficiaire_telephone_mobile"], row["beneficiaire_telephone_fixe"]))
        ),
        email=row["beneficiaire_email"] or None,
        address=Address((street,) if street else (), code or None, None, town or None)
        if street or town
        else None,
        matricule=("", "", number) if number else None,
        france_travail_id=france_travail if _FT_ID.fullmatch(france_travail) else None,
        webrsa_id=person,
        own_key=("webrsa", person),
    )
