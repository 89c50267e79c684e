"""French phone numbers in their two spellings; anything else passes through as it is."""

from __future__ import annotations

import re

_INTERNATIONAL = re.compile(r"\+33([1-9][0-9]{8})", re.ASCII)
_NATIONAL = re.compile(r"0?([1-9][0-9]{8})", re.ASCII)


def national(phone: str) -> str:
    """Ten digits, as French systems take them: +33612345678 → 0612345678."""
    match = _INTERNATIONAL.fullmatch(phone)
    return f"0{match[1]}" if match else phone


def international(phone: str) -> str:
    """E.164: 06 12 34 56 78, and 612345678 of a spreadsheet that lost the zero → +33612345678."""
    match = _NATIONAL.fullmatch(re.sub(r"[\s.\-/]", "", phone))
    return f"+33{match[1]}" if match else phone
