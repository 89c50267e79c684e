"""How a partner's own report of what the hub told it is recognised: the keyed hash of the manifest's echo fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.people.keys import MasterKey


def echo_hash(master: MasterKey, partner: str, fields: Mapping[str, Any], echo: Sequence[str]) -> bytes:
    """Hash over the echo fields (dotted paths) of an event in the hub's form, for table `told`."""
    return master.told(partner, *(_text(_at(fields, path)) for path in echo))


def _at(fields: Mapping[str, Any], path: str) -> Any:
    value: Any = fields
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "\x1f".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return "\x1e".join(f"{key}={_text(value[key])}" for key in sorted(value))
    return str(value)
