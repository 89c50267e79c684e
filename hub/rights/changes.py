"""What is different between two versions of a configuration, place by place, for the person who applies it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.rights.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions: where, and what stood there (None = nothing)."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.path} = {_shown(self.path, self.after)}"
        if self.after is None:
            return f"- {self.path} (was {_shown(self.path, self.before)})"
        return f"~ {self.path}: {_shown(self.path, self.before)} → {_shown(self.path, self.after)}"

    def shown(self) -> dict[str, Any]:
        """For output as JSON; a sealed secret is masked."""
        values = {"before": self.before, "after": self.after}
        return {"path": self.path} | {
            name: value if value is None else _masked(self.path, value) for name, value in values.items()
        }


def diff(old: Configuration | None, new: Configuration) -> list[Change]:
    """The differences, sorted by path; `old` None = everything is new."""
    before = dict(_flat("", old.document())) if old else {}
    after = dict(_flat("", new.document()))
    return [
        Change(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Leaves by path; rows of a table are named by their own key, so that an inserted row is one difference."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        for row in value:
            name = next(
                (
                    str(row[k])
                    for k in ("id", "code", "webrsa_id", "convention", "name", "casf")
                    if row.get(k)
                ),
                None,
            )
            name = name or "-".join(str(v) for v in row.values())
            name += f"@{row['valid_from']}" if "valid_from" in row else ""
            yield from _flat(f"{path}.{name}", row)
    elif value not in (None, [], {}):
        yield path, value


def _masked(path: str, value: Any) -> Any:
    return "sealed:…" if ".secrets." in path and str(value).startswith("sealed:") else value


def _shown(path: str, value: Any) -> str:
    value = _masked(path, value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
