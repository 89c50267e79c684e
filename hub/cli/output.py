"""How commands speak: one JSON object or something readable on stdout, messages and errors on stderr, one exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from enum import IntEnum
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


class Exit(IntEnum):
    """What a command's exit code says; the same for all commands."""

    OK = 0
    ERROR = 1
    USAGE = 2  # given by typer itself
    UNACCOUNTED = 3
    REFUSED = 4  # by policy


def emit(data: Any) -> None:
    """Print `data` (mapping, list, dataclass or pydantic model) as one JSON value on stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, default=_plain, indent=2) + "\n")


def say(message: str) -> None:
    """A message for the person at the terminal, on stderr; never part of the result."""
    typer.echo(message, err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table on stdout; values are shown as they are, without markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text("" if value is None else str(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 240).print(shown)


def fail(message: str, code: Exit = Exit.ERROR) -> typer.Exit:
    """Say what was wrong on stderr; ``raise fail(…)`` ends the command with `code`."""
    say(f"error: {message}" if code is not Exit.REFUSED else f"refused: {message}")
    return typer.Exit(code)


@contextmanager
def reported(*expected: type[Exception], code: Exit = Exit.ERROR) -> Iterator[None]:
    """Turn the named exceptions, whose text speaks to the person who must act, into a message and an exit code."""
    try:
        yield
    except expected as error:
        raise fail(str(error), code) from None


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)  # dates, UUIDs, paths
