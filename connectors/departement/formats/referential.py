"""``Referentiel-WebRSA``: the code lists behind every id of an export. It is loaded first; an id that it lacks is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lxml import etree

from hub.sdk.inbound import FileRefused
from hub.sdk.xml import elements, refuse_unsafe, text

_LISTS = {
    "typesorients": ("libelle", "parent_id"),
    "structuresreferentes": ("libelle",),
    "referents": ("structurereferente_id", "nom", "prenom", "email", "numtel"),
    "orient_statut": ("code", "libelle"),
    "civilite": ("code",),
}
_ID = re.compile(r"[0-9]{1,9}", re.ASCII)

Referential = Mapping[str, Mapping[str, Mapping[str, str]]]
"""list → id → column → text (absent columns are left out)."""


def load(path: str | None) -> Referential:
    """Read the referential. Raises FileRefused saying what to do: without it no id of an export means anything."""
    if not path:
        raise FileRefused(
            "referential_missing", "set `referential` of this partner: WebRSA's Referentiel-WebRSA file"
        )
    try:
        with Path(path).open("rb") as source:
            refuse_unsafe(source)
            found: dict[str, dict[str, dict[str, str]]] = {name: {} for name in _LISTS}
            for element, line in elements(source, "Referentiel_WebRSA", frozenset(_LISTS)):
                number = text(element, "identifiant")
                if number is None or not _ID.fullmatch(number):
                    raise FileRefused(
                        "referential_id", f"{element.tag} has no whole number as identifiant", line
                    )
                found[element.tag][number] = _columns(element, _LISTS[element.tag])
    except OSError as error:
        raise FileRefused(
            "referential_missing",
            f"the referential cannot be read ({type(error).__name__}); export it before",
        ) from None
    if not found["typesorients"] or not found["structuresreferentes"]:
        raise FileRefused("referential_empty", "the referential names no orientation type or no structure")
    return found


def _columns(element: etree._Element, names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name in names if (value := text(element, name)) is not None}


def folded(label: str) -> str:
    """A label for comparing: capitals, no accents, single blanks instead of punctuation."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().upper()
    return " ".join(re.sub(r"[^A-Z0-9]+", " ", plain).split())


def type_labels(referential: Referential, number: str) -> list[tuple[str, str]]:
    """(id, label) of an orientation type and of its parents, itself first; a circle ends it."""
    chain: list[tuple[str, str]] = []
    at: Mapping[str, Any] | None = referential["typesorients"].get(number)
    while at is not None and number not in {known for known, _ in chain}:
        chain.append((number, at.get("libelle", "")))
        number = at.get("parent_id", "")
        at = referential["typesorients"].get(number)
    return chain
