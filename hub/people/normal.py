"""How names, phones, e-mails and communes are written for comparing: case, accents, ligatures and punctuation do not count."""

from __future__ import annotations

import re
import unicodedata

_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ı": "i"})
_COMMUNE_WORDS = {"st": "saint", "ste": "sainte"}

# Overseas numbers have country codes of their own (ARCEP's numbering plan): the digits after the 0 → country code.
_OVERSEAS = {
    **dict.fromkeys(("262", "263", "269", "639", "692", "693"), "262"),  # La Réunion, Mayotte
    **dict.fromkeys(("590", "690", "691"), "590"),  # Guadeloupe
    **dict.fromkeys(("594", "694"), "594"),  # Guyane
    **dict.fromkeys(("596", "696", "697"), "596"),  # Martinique
}
_MOBILE = re.compile(r"\+33[67][0-9]{8}|\+262(?:69[23]|639)[0-9]{6}|\+(?:590|594|596)69[0-9]{7}", re.ASCII)


def letters(text: str) -> str:
    """Letters and digits only, folded: "D'ŒUVRÉ-Été" → "doeuvreete". Two names are the same when this is."""
    return "".join(character for character in _folded(text) if character.isalnum())


def words(text: str) -> str:
    """Words kept apart, folded: "12  Rue de l'Église" → "12 rue de l eglise"."""
    return " ".join("".join(c if c.isalnum() else " " for c in _folded(text)).split())


def commune(name: str) -> str:
    """A commune's name, "St" and "Ste" written out, CEDEX cut off."""
    parts = [_COMMUNE_WORDS.get(word, word) for word in words(name).split()]
    if "cedex" in parts:
        parts = parts[: parts.index("cedex")]
    return " ".join(parts)


def email(text: str) -> str:
    """An address as it is compared: no case, no blanks around."""
    return text.strip().casefold()


def phone(text: str) -> str:
    """A French number as E.164 (+33612345678), overseas ones under their own code; a lost leading 0 is put back.

    What is no such number keeps its digits, so that nothing is lost."""
    digits = re.sub(r"[^0-9+]", "", text)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if digits.startswith("+330"):
        digits = "+33" + digits[4:]
    if digits.startswith("+"):
        return digits
    if len(digits) == 9 and digits[0] in "123456789":
        digits = "0" + digits
    if len(digits) == 10 and digits[0] == "0":
        return f"+{_OVERSEAS.get(digits[1:4], '33')}{digits[1:]}"
    return digits


def is_mobile(number: str) -> bool:
    """True for a mobile number in E.164."""
    return _MOBILE.fullmatch(number) is not None


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LIGATURES))
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
