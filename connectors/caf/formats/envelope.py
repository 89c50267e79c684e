"""First pass over a CNAF beneficiaries file: header, encoding, payers, closing root and control totals.

A file that is not what it says is refused here as a whole, before anything of it was kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from connectors.caf.formats.blocks import Piece, pieces
from connectors.caf.formats.groups import Bad, Group, read_block
from connectors.caf.formats.rsabe import payer_of
from hub.sdk.inbound import Examined, FileRefused, Notice

PARIS = ZoneInfo("Europe/Paris")
_BOM = b"\xef\xbb\xbf"
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_CODECS = {
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
}
_NAMESPACE = re.compile(rb"""xmlns:[\w.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*')""")
_TIME = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?", re.ASCII)
_HEAD = [re.compile(rb"<%b>([^<&]*)</%b>" % (name, name)) for name in (b"FONORG", b"NUMORG", b"IDEPARTE")]
_FLUXES = {"I": "an instruction file (NATFLUX I)", "R": "a « nouveau recueil » file (NATFLUX R)"}


@dataclass(slots=True)
class _Seen:
    """What the pass has met so far."""

    header: Group | None = None
    namespaces: bytes = b""
    records: int = 0
    root_line: int = 0
    ended: bool = False
    declared: int | None = None
    anomalies: int | None = None
    payers: dict[tuple[str, str], None] = field(default_factory=dict)
    departements: dict[str, None] = field(default_factory=dict)
    bytes_as: Counter[str] = field(default_factory=Counter)
    heads: set[tuple[bytes, ...]] = field(default_factory=set)
    warnings: list[Notice] = field(default_factory=list)
    last_line: int = 1


def examine(source: BinaryIO, settings: Mapping[str, Any]) -> Examined:
    """Header, encoding, payers and totals of a file. Settings: `accept_truncated`, `strict_totals` (bool).
    Raises FileRefused."""
    encoding, has_bom = _declared_encoding(source)
    seen = _Seen()
    for piece in pieces(source):
        _look_at(piece, seen, encoding)
    if seen.root_line == 0:
        raise FileRefused("not_cnaf", "no element <Racine>: this is not a CNAF beneficiaries file")
    if not seen.ended:
        _truncated(seen, settings)
    header = _header(seen)
    header["encoding"] = _settle_encoding(encoding, has_bom, seen)
    header["namespaces"] = seen.namespaces.decode("ascii", "ignore")
    header["departements"] = list(seen.departements)
    header["payers"] = [list(payer) for payer in seen.payers]
    _totals(seen, settings)
    return Examined(
        header,
        seen.records,
        tuple(seen.payers),
        tuple(seen.warnings),
        {"declared": seen.declared, "declared_anomalies": seen.anomalies, "read": seen.records},
    )


def households(source: BinaryIO) -> Iterator[Piece]:
    """Second pass: the household parts, damaged ones too, from the file's start."""
    source.seek(0)
    return (piece for piece in pieces(source) if piece.kind == "household")


def _declared_encoding(source: BinaryIO) -> tuple[str, bool]:
    source.seek(0)
    head = source.read(1024)
    source.seek(0)
    if not head.strip():
        raise FileRefused("empty", "the file is empty")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head[:64]:
        raise FileRefused(
            "encoding_unsupported", "the file is UTF-16 or binary: windows-1252 or UTF-8 is read", 1
        )
    if not head.removeprefix(_BOM).lstrip().startswith(b"<"):
        raise FileRefused("not_cnaf", "the file does not begin like XML (is it compressed?)", 1)
    declared = _DECLARED.match(head.removeprefix(_BOM))
    name = declared[1].decode().lower() if declared else "utf-8"
    if name not in _CODECS:
        raise FileRefused(
            "encoding_unsupported", f"encoding {name} declared: windows-1252 or UTF-8 is read", 1
        )
    return _CODECS[name], head.startswith(_BOM)


def _look_at(piece: Piece, seen: _Seen, encoding: str) -> None:
    seen.last_line = piece.line
    if piece.kind == "doctype":
        raise FileRefused(
            "doctype", "the file has a document type or entity declaration; CNAF files have none", piece.line
        )
    if piece.kind == "stray":
        seen.warnings.append(
            Notice("stray_content", f"line {piece.line}: text or elements where a household was expected")
        )
    elif piece.kind == "root":
        if seen.root_line:
            raise FileRefused("several_documents", "a second <Racine> begins: two files in one?", piece.line)
        seen.root_line, seen.namespaces = piece.line, b" ".join(_NAMESPACE.findall(piece.data))
    elif seen.ended:
        raise FileRefused(
            "several_documents", "the file goes on after its closing root: two files in one?", piece.line
        )
    elif piece.kind == "end":
        seen.ended = True
    elif piece.kind == "household":
        _look_at_household(piece, seen, encoding)
    else:
        _look_at_frame(piece, seen, encoding)


def _look_at_household(piece: Piece, seen: _Seen, encoding: str) -> None:
    seen.records += 1
    if not piece.data.isascii():
        seen.bytes_as["utf-8" if _is_utf8(piece.data) else "other"] += 1
    if piece.damage is None:
        head = _head(piece.data)
        if head in seen.heads:
            return
        try:
            payer, departement = payer_of(read_block(piece.data, "latin-1", seen.namespaces))
        except Bad:
            return  # pass 2 rejects it with its reason
        if head is not None:
            seen.heads.add(head)
        seen.payers[payer] = None
        if departement:
            seen.departements[departement] = None


def _head(data: bytes) -> tuple[bytes, ...] | None:
    """Payer and département as written, if they stand there plainly: nearly all blocks of a file have the same, and only
    a new one is parsed in this pass."""
    if b"<!" in data or b"<?" in data:
        return None
    found = [pattern.search(data) for pattern in _HEAD]
    return tuple(match[1] for match in found if match) if all(found) else None


def _look_at_frame(piece: Piece, seen: _Seen, encoding: str) -> None:
    """Header or trailer."""
    try:
        group = read_block(piece.data, encoding, seen.namespaces)
    except Bad as bad:
        if piece.kind == "header":
            raise FileRefused(
                "header_invalid", f"the header cannot be read: {bad.reason}", piece.line
            ) from None
        return
    if piece.kind == "header":
        seen.header = seen.header or group
    else:
        seen.declared, seen.anomalies = (
            _count(group, "NBTOTDOSRSATRANSM"),
            _count(group, "NBTOTDOSRSATRANSMANO"),
        )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _count(group: Group, name: str) -> int | None:
    try:
        text = group.text(name)
    except Bad:
        return None
    return int(text) if text and text.isascii() and text.isdigit() else None


def _truncated(seen: _Seen, settings: Mapping[str, Any]) -> None:
    message = f"the file ends without </Racine>, after {seen.records} households: it was cut off"
    if not settings.get("accept_truncated"):
        raise FileRefused(
            "truncated",
            message + "; ask for it again, or take what is there with --accept-truncated",
            seen.last_line,
        )
    seen.warnings.append(Notice("truncated", message))


def _settle_encoding(declared: str, has_bom: bool, seen: _Seen) -> str:
    """What the bytes are. A windows-1252 text with accents is practically never valid UTF-8, so the households vote."""
    as_utf8, other = seen.bytes_as["utf-8"], seen.bytes_as["other"]
    if declared == "cp1252" and (has_bom or as_utf8 > other):
        seen.warnings.append(
            Notice("encoding_mislabelled", "declared windows-1252, but the bytes are UTF-8: read as UTF-8")
        )
        return "utf-8"
    if declared == "utf-8" and other:
        seen.warnings.append(
            Notice("encoding_doubtful", f"declared UTF-8, but {other} households are not: they are rejected")
        )
    return declared


def _header(seen: _Seen) -> dict[str, Any]:
    if seen.header is None:
        raise FileRefused(
            "header_missing", "no <IdentificationFlux>: this is not a whole CNAF file", seen.root_line
        )
    nature = _soft(seen, "NATFLUX")
    if nature != "D":
        what = _FLUXES.get(nature or "", "a file of unknown kind (NATFLUX)")
        raise FileRefused(
            "wrong_flux", f"this is {what}; beneficiaries files (NATFLUX D) are read here", seen.root_line
        )
    try:
        kind, dtref = seen.header.need("TYPEFLUX"), seen.header.need_day("DTREF")
    except Bad as bad:
        raise FileRefused(
            "header_invalid", f"header field {bad.field}: {bad.reason}", seen.root_line
        ) from None
    if kind not in ("M", "I", "R"):
        raise FileRefused("header_invalid", "header field TYPEFLUX: neither M, I nor R", seen.root_line)
    version = (_soft(seen, "APPLIEME"), _soft(seen, "NUMVERSIONAPPLIEME"))
    if version != ("CRI", "6200"):
        seen.warnings.append(
            Notice("version_unknown", "written by another version than CRI 6200: check the result")
        )
    return {"kind": kind, "dtref": dtref.isoformat(), "created": _created(seen, dtref).isoformat()}


def _soft(seen: _Seen, name: str) -> str | None:
    try:
        return seen.header.text(name) if seen.header else None
    except Bad:
        return None


def _created(seen: _Seen, dtref: date) -> datetime:
    """When the payer wrote the file (DTCREAFLUX, HEUCREAFLUX, French time), in UTC; DTREF when it does not say."""
    day, time = _soft(seen, "DTCREAFLUX"), _TIME.fullmatch(_soft(seen, "HEUCREAFLUX") or "00:00:00")
    try:
        if day and time:
            local = datetime.fromisoformat(f"{day}T{time[1]}").replace(tzinfo=PARIS)
            return local.replace(microsecond=int((time[2] or "0").ljust(6, "0"))).astimezone(UTC)
    except ValueError:
        pass
    seen.warnings.append(Notice("header_field_invalid", "DTCREAFLUX or HEUCREAFLUX: DTREF is taken instead"))
    return datetime(dtref.year, dtref.month, dtref.day, tzinfo=PARIS).astimezone(UTC)


def _totals(seen: _Seen, settings: Mapping[str, Any]) -> None:
    if seen.declared == seen.records:
        return
    if seen.declared is None:
        code, message = "totals_missing", f"no readable trailer; {seen.records} households were read"
    else:
        code, message = (
            "totals_mismatch",
            f"the trailer announces {seen.declared} households, {seen.records} were read",
        )
    if settings.get("strict_totals"):
        raise FileRefused(code, message, seen.last_line)
    seen.warnings.append(Notice(code, message))
