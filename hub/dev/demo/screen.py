"""What the demo prints: a table that lives on a terminal, one line per change elsewhere, and the tables of its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hub.dev.demo.watch import Seen
from hub.ledger import sentences

COLUMNS = ("delivered", "withheld", "waiting", "human", "refused")
LINES_EVERY = 2.0  # seconds between lines about changes, where there is no live table
WIDTH = 132  # of the tables, where there is no terminal
_COLOURS = {
    "delivered": "green",
    "withheld": "yellow",
    "waiting": "cyan",
    "human": "magenta",
    "refused": "red",
}


class Screen:
    """Prints to `console`; `names` are the partners'. A terminal gets a live table, anything else lines."""

    def __init__(self, console: Console, names: Mapping[str, str]) -> None:
        self.console, self.names = console, dict(names)
        self._live: Live | None = None
        self._last, self._said = Seen(), 0.0

    def say(self, text: str) -> None:
        """One line of the story."""
        self.console.print(Text(text), soft_wrap=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """On a terminal the table is kept up to date while the block runs."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as self._live:
            try:
                yield
            finally:
                self._live = None

    def show(self, seen: Seen) -> None:
        """Bring the table up to date, or print now and then what changed."""
        if self._live is not None:
            self._live.update(self.table(seen), refresh=True)
        elif not self.console.is_terminal and (
            not seen.pending or time.monotonic() - self._said > LINES_EVERY
        ):
            self._lines(seen)

    def _lines(self, seen: Seen) -> None:
        for (partner, record), cell in sorted(seen.cells.items()):
            if cell != self._last.cells.get((partner, record)):
                said = " · ".join(f"{name} {n}" for name, n in sorted(cell.items()))
                self.say(f"  {partner} {self.names.get(partner, ''):<32} {record:<22} {said}")
        self._last, self._said = seen, time.monotonic()

    def table(self, seen: Seen) -> Table:
        """Partner × event type: how many were delivered, what was withheld, what waits or needs a person, and why."""
        columns = [name for name in COLUMNS if name != "refused" or any(seen.total("refused").values())]
        shown = Table(
            box=None, pad_edge=False, caption=f"{seen.events} events accepted", caption_justify="left"
        )
        shown.add_column("partner, event", no_wrap=True)
        for column in columns:
            shown.add_column(column, overflow="fold", justify="right" if column == "delivered" else "left")
        before = None
        for (partner, record), cell in sorted(seen.cells.items()):
            if partner != before:
                shown.add_row(Text(f"{partner} {self.names.get(partner, '')}", style="bold"))
            shown.add_row(f"  {record}", *(_column(cell, name) for name in columns))
            before = partner
        return shown

    def reasons(self, seen: Seen) -> None:
        """One sentence for each reason that occurred."""
        found = {name for cell in seen.cells.values() for name in cell if "(" in name}
        for name in sorted(found):
            state, _, reason = name.rstrip(")").partition("(")
            if sentence := sentences.why(state, reason):
                self.say(f"  {name}: {sentence}")


def _column(cell: Mapping[str, int], state: str) -> Text:
    """The cell of one state: a number, with the reasons beside it where there are any. What is being sent waits."""
    said = []
    for name, n in sorted(cell.items()):
        of, _, reason = name.rstrip(")").partition("(")
        if of == state or (of, state) == ("sending", "waiting"):
            said.append(f"{n} {'being sent' if of == 'sending' else reason}".strip())
    return Text(", ".join(said), style=_COLOURS[state])
