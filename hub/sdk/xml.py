"""XML from partners, read safely: no DOCTYPE, no entities, no network, no recovery, one element at a time."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from lxml import etree

from hub.sdk.inbound import FileRefused

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_FORBIDDEN = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_CHUNK = 256 * 1024


def refuse_unsafe(source: BinaryIO) -> None:
    """Refuse, before any parser sees it, what could make one expand or fetch things: a DOCTYPE or entity declaration
    anywhere, and encodings in which they could hide (UTF-16, UTF-32, NUL bytes). Leaves `source` at its start. Raises
    FileRefused."""
    source.seek(0)
    if source.read(4).startswith(_WIDE):
        raise FileRefused("encoding", "the file is UTF-16 or UTF-32; send it as UTF-8 or ISO-8859-1")
    source.seek(0)
    kept = b""
    while chunk := source.read(_CHUNK):
        window = kept + chunk
        if _FORBIDDEN.search(window):
            raise FileRefused("doctype", "the file declares a DOCTYPE or an entity; send it without")
        if b"\x00" in chunk:
            raise FileRefused("encoding", "the file holds NUL bytes; it is damaged or in another encoding")
        kept = window[-16:]
    source.seek(0)


def elements(source: BinaryIO, root: str, tags: frozenset[str]) -> Iterator[tuple[etree._Element, int]]:
    """The elements of these tags in file order with the line on which each begins; each is emptied once it was used.
    Raises FileRefused: not well formed (also where it was cut off), or another root than `root`."""
    source.seek(0)
    parser = etree.iterparse(
        source,
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=False,
    )
    depth, inside = 0, 0
    try:
        for event, element in parser:
            if event == "start":
                depth += 1
                if depth == 1 and element.tag != root:
                    raise FileRefused("wrong_root", f"the file's root is not <{root}>", element.sourceline)
                inside += element.tag in tags
                continue
            depth -= 1
            if element.tag in tags:
                inside -= 1
                if not inside:
                    yield element, element.sourceline or 0
            if not inside and depth:
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise FileRefused(
            "not_well_formed",
            f"the file is not well-formed XML near line {error.lineno}: damaged or cut off; nothing was taken",
            error.lineno,
        ) from None


def text(element: etree._Element, path: str) -> str | None:
    """The text at a path below the element, without surrounding blanks; None when it is absent or empty."""
    found = element.findtext(path)
    return (found.strip() or None) if found else None
