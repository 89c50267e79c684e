"""Reads one household's XML block: never in recovery mode, no entities, no network, bounded depth and text length.

A group is an element with children, a field a leaf. Fields are text, always: MATRICULE, CODEPOS and RGADR are numbers
in CNAF's schema and carry leading zeros.
"""

from __future__ import annotations

import re
from datetime import date

from lxml import etree

MAX_TEXT = 255
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_BOOLEANS = {"0": False, "1": True, "false": False, "true": True}
_PARSER = etree.XMLParser(
    encoding="utf-8",
    recover=False,
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)


class Bad(Exception):
    """A household cannot be taken: a stable reason, the field, and where, never what the field holds."""

    def __init__(self, reason: str, field: str | None = None, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.field, self.detail = reason, field, detail


class Group:
    """The children of one element (or of several that are read as one), by local name."""

    __slots__ = ("_children",)

    def __init__(self, *elements: etree._Element) -> None:
        children: dict[str, list[etree._Element]] = {}
        for element in elements:
            for child in element:
                name = child.tag
                if name[0] == "{":
                    name = name.rpartition("}")[2]
                if name in children:
                    children[name].append(child)
                else:
                    children[name] = [child]
        self._children = children

    def group(self, name: str) -> Group | None:
        """The child group. Raises Bad when there are several."""
        found = self._children.get(name)
        if found is None:
            return None
        if len(found) > 1:
            raise Bad("repeated_field", name, "the file has this part twice in one household")
        return Group(found[0])

    def need_group(self, name: str) -> Group:
        group = self.group(name)
        if group is None:
            raise Bad("missing_field", name)
        return group

    def groups(self, name: str) -> list[Group]:
        return [Group(element) for element in self._children.get(name, ())]

    def merged(self, *names: str) -> Group:
        """Several parts read as one, e.g. a part under its old and its new name."""
        return Group(*(element for name in names for element in self._children.get(name, ())))

    def text(self, name: str) -> str | None:
        """A field without surrounding blanks, None when absent or empty. Raises Bad: repeated with another value,
        not a leaf, too long."""
        found = self._children.get(name)
        if found is None:
            return None
        value = None
        for element in found:
            text = element.text
            if len(element):
                raise Bad("invalid_field", name, "this field has parts of its own")
            text = " ".join(text.split()) if text else ""
            if len(text) > MAX_TEXT:
                raise Bad("invalid_field", name, f"longer than {MAX_TEXT} characters")
            if text and value is not None and text != value:
                raise Bad("repeated_field", name, "this field occurs with two values")
            value = text or value
        return value

    def need(self, name: str) -> str:
        text = self.text(name)
        if text is None:
            raise Bad("missing_field", name)
        return text

    def day(self, name: str) -> date | None:
        """A date as YYYY-MM-DD and in no other form. Raises Bad."""
        text = self.text(name)
        return None if text is None else _day(name, text)

    def need_day(self, name: str) -> date:
        return _day(name, self.need(name))

    def flag(self, name: str) -> bool | None:
        """A CNAF boolean: 0 or 1 (false, true). Raises Bad."""
        text = self.text(name)
        if text is not None and text not in _BOOLEANS:
            raise Bad("invalid_field", name, "neither 0 nor 1")
        return None if text is None else _BOOLEANS[text]


def _day(name: str, text: str) -> date:
    try:
        if _ISO.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Bad("invalid_field", name, "not a date of the form YYYY-MM-DD")


def read_block(data: bytes, encoding: str, namespaces: bytes = b"") -> Group:
    """Parse one block by itself. `namespaces` are declarations of the file's root element that it may lean on.
    Raises Bad(malformed) and Bad(invalid_bytes)."""
    if not data.isascii():
        try:
            data = data.decode(encoding).encode("utf-8")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n")
            raise Bad("invalid_bytes", None, f"a byte that is not {encoding}, {line} lines below") from None
    if namespaces:
        data = b"<_ " + namespaces + b">" + data + b"</_>"
    try:
        root = etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        # libxml2's message can quote the household: only its number and place are kept
        raise Bad("malformed", None, f"libxml2 error {error.code}, {error.lineno - 1} lines below") from None
    return Group(root[0] if namespaces else root)
