"""Cuts a CNAF beneficiaries file into its parts without parsing it, so that one damaged household harms no other.

Works on bytes in any encoding that keeps ASCII (windows-1252, UTF-8). Comments, CDATA sections and processing
instructions are stepped over, so a tag that is only quoted in one of them cuts nothing. Memory: one chunk and one
household, whatever the file's size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Kind = Literal["root", "header", "household", "trailer", "end", "doctype", "stray"]

CHUNK = 1 << 18
MAX_BLOCK = 1 << 22
"""A household larger than this is not read (real ones have 3 to 20 kB)."""
MAX_SKIP = 1 << 20
"""How far a comment, CDATA section or processing instruction may run before its opening counts as damage."""
_MARGIN = 128
_MAX_TAG = 1 << 12

_SECTIONS = {
    b"IdentificationFlux": "header",
    b"InfosFoyerRSA": "household",
    b"TransmissionFlux": "trailer",
}
_TOKEN = re.compile(
    rb"<(?:(?P<skip>!--|!\[CDATA\[|\?)|(?P<declaration>![A-Za-z])|(?P<end>/?)(?:[A-Za-z_][\w.-]{0,63}+:)?+"
    rb"(?P<name>Racine|IdentificationFlux|InfosFoyerRSA|TransmissionFlux)(?=[\s/>]))"
)
_TAG_REST = re.compile(rb"(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*>")
_SIGNS = (b"<!", b"<?", b"InfosFoyerRSA", b"Flux", b"Racine")
"""None of these: no token but its end tag is in a household."""
_CLOSERS = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of the file: `line` is that of its start tag, `data` its bytes from start tag to end tag.

    `damage` of a household: unclosed (the next one starts inside it), no_start (only its end was found), too_large,
    truncated (the file ends inside it).
    """

    kind: Kind
    line: int
    data: bytes = b""
    damage: str | None = None


class _Window:
    """The part of the file that is in memory, and the line number of any place in it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.data = b""
        self.ended = False
        self._offset = 0
        self._line, self.counted = 1, 0
        self._absent: dict[bytes, int] = {}

    def more(self) -> bool:
        chunk = b"" if self.ended else self._source.read(CHUNK)
        self.ended = not chunk
        self.data += chunk
        return bool(chunk)

    def line_at(self, place: int) -> int:
        """Line (from 1) of a place, by LF, CRLF or CR alone; places only ever grow."""
        data, start = self.data, self.counted
        lone = data.count(b"\r", start, place) - data.count(b"\r\n", start, place)
        self._line += data.count(b"\n", start, place) + lone
        self.counted = place
        return self._line

    def drop_to(self, place: int) -> int:
        """Forget what stands before `place`; gives how far all places moved."""
        if place and self.data[place - 1 : place] == b"\r":
            place -= 1  # keep a CRLF together for the line count
        self.line_at(max(place, self.counted))
        self.data = self.data[place:]
        self.counted -= place
        self._offset += place
        return place

    def find(self, needle: bytes, place: int) -> int:
        """The first place after `needle`, reading on for at most MAX_SKIP bytes; -1 when it does not come. What was
        looked through in vain is not looked through again, so hostile openings cost no more than the file's length."""
        known = self._absent.get(needle, 0) - self._offset
        limit = place + MAX_SKIP
        start = max(place, known)
        while start < limit:
            found = self.data.find(needle, start)
            if found >= 0:
                return found + len(needle) if found < limit else -1
            start = max(place, len(self.data) - len(needle) + 1)
            if not self.more():
                start = limit
        self._absent[needle] = self._offset + (limit if not self.ended else len(self.data))
        return -1


def pieces(source: BinaryIO) -> Iterator[Piece]:
    """The parts in file order, one at a time."""
    return _Cutter(source).run()


class _Cutter:
    def __init__(self, source: BinaryIO) -> None:
        self._window = _Window(source)
        self._place = 0  # where to look for the next token
        self._gap = 0  # end of the last part: from here on nothing but blanks is expected outside of parts
        self._gap_dirty = 0  # line of the first thing found there all the same
        self._open: tuple[Kind, int, int] | None = None  # kind, place and line of the part that is being read
        self._skipping = False  # inside the rest of a household that was too large

    def run(self) -> Iterator[Piece]:
        window = self._window
        while True:
            yield from self._make_room()
            token = _TOKEN.search(window.data, self._place)
            if token and (window.ended or token.end() < len(window.data)):
                yield from self._take(token)
            elif window.ended:
                break
            else:
                if token is None:
                    self._place = max(self._place, len(window.data) - _MARGIN)
                window.more()
        yield from self._finish()

    def _make_room(self) -> Iterator[Piece]:
        """Give up a household that is too large; forget what is no longer needed."""
        window = self._window
        if self._open and self._place - self._open[1] > MAX_BLOCK:
            kind, start, line = self._open
            yield Piece(kind, line, window.data[start : start + _MARGIN], "too_large")
            self._open, self._skipping, self._gap = None, True, self._place
        needed = self._open[1] if self._open else self._place
        if needed < CHUNK:
            return
        if self._open is None:
            self._look_at_gap(needed)
        moved = window.drop_to(needed)
        self._place -= moved
        self._gap = max(0, self._gap - moved)
        if self._open:
            self._open = (self._open[0], self._open[1] - moved, self._open[2])

    def _take(self, token: re.Match[bytes]) -> Iterator[Piece]:
        if token["skip"]:
            place = self._window.find(_CLOSERS[token["skip"]], token.end())
            if self._open is None:
                self._look_at_gap(token.start())
                self._gap = max(token.end(), place)
            self._place = max(token.end(), place)
            return
        if token["declaration"]:
            yield Piece("doctype", self._window.line_at(token.start()))
            self._place = token.end()
            return
        if token["name"] == b"Racine":
            yield from self._root(token)
        elif token["end"]:
            yield from self._end(token)
        else:
            yield from self._start(token)

    def _root(self, token: re.Match[bytes]) -> Iterator[Piece]:
        yield from self._close_damaged(token.start())
        yield from self._stray(token.start())
        line, end = self._window.line_at(token.start()), self._tag_end(token)
        yield Piece("end" if token["end"] else "root", line, self._window.data[token.start() : end])
        self._place = self._gap = end

    def _start(self, token: re.Match[bytes]) -> Iterator[Piece]:
        yield from self._close_damaged(token.start())
        yield from self._stray(token.start())
        kind: Kind = _SECTIONS[token["name"]]  # type: ignore[assignment]
        line, end = self._window.line_at(token.start()), self._tag_end(token)
        self._skipping = False
        self._place = end
        if self._window.data[end - 2 : end] == b"/>":
            self._gap = end
            yield Piece(kind, line, self._window.data[token.start() : end])
        elif kind == "household" and (after := self._plain_end(end)):
            self._place = self._gap = after
            yield Piece(kind, line, self._window.data[token.start() : after])
        else:
            self._open = (kind, token.start(), line)

    def _plain_end(self, place: int) -> int:
        """The end of an ordinary household that is in memory whole, found without looking at each of its tags; 0 when
        anything in it could need a closer look."""
        data = self._window.data
        end = data.find(b"</InfosFoyerRSA>", place)
        if end < 0 or any(data.find(sign, place, end) >= 0 for sign in _SIGNS):
            return 0
        return end + len(b"</InfosFoyerRSA>")

    def _end(self, token: re.Match[bytes]) -> Iterator[Piece]:
        kind = _SECTIONS[token["name"]]
        end = self._tag_end(token)
        self._place = end
        if self._open and self._open[0] == kind:
            _, start, line = self._open
            self._open, self._gap = None, end
            yield Piece(kind, line, self._window.data[start:end])  # type: ignore[arg-type]
        elif self._open is None:
            if kind == "household" and not self._skipping:
                self._look_at_gap(token.start())
                line = self._gap_dirty or self._window.line_at(token.start())
                yield Piece("household", line, damage="no_start")
            self._skipping, self._gap_dirty, self._gap = False, 0, end

    def _close_damaged(self, place: int) -> Iterator[Piece]:
        """Another part starts although this one has not ended."""
        if self._open:
            kind, start, line = self._open
            yield Piece(kind, line, self._window.data[start:place], "unclosed")
            self._open, self._gap = None, place

    def _look_at_gap(self, place: int) -> None:
        data = self._window.data
        if not self._gap_dirty and not self._skipping and self._gap < place:
            blank = place - self._gap - len(data[self._gap : place].lstrip(b" \t\r\n\xef\xbb\xbf"))
            if self._gap + blank < place:
                self._gap_dirty = self._window.line_at(max(self._gap + blank, self._window.counted))
        self._gap = place

    def _stray(self, place: int) -> Iterator[Piece]:
        self._look_at_gap(place)
        if self._gap_dirty:
            yield Piece("stray", self._gap_dirty)
        self._gap_dirty = 0

    def _tag_end(self, token: re.Match[bytes]) -> int:
        """The place after a tag's `>`; the token's end when the tag is damaged (its household will not parse)."""
        while True:
            rest = _TAG_REST.match(self._window.data, token.end(), token.end() + _MAX_TAG)
            if rest:
                return rest.end()
            if len(self._window.data) - token.end() > _MAX_TAG or not self._window.more():
                return token.end()

    def _finish(self) -> Iterator[Piece]:
        if self._open:
            kind, start, line = self._open
            yield Piece(kind, line, self._window.data[start:], "truncated")
        else:
            yield from self._stray(len(self._window.data))
