"""One run of the demo from an empty folder to its end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from hub.dev.demo.ending import Result, result, tell
from hub.dev.demo.place import Place, near, place
from hub.dev.demo.screen import WIDTH
from hub.dev.demo.story import Story


def main(home: Path, people: int, *, once: bool, quiet: bool) -> Result:
    """Play it; without `once` the hub then goes on until Ctrl-C. `quiet`: everything is said on stderr.

    Raises NotADemo, DemoFailed, InUse, PartFailed. Everything that was started has ended when this returns."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also when a shell started us in the background
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_ctrl_c)
    console = Console(stderr=quiet, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print("Invented data only: nobody in it exists, and the hub refuses people who are not invented.")
    console.print(f"starting PostgreSQL and Kafka in {near(home)}")
    with place(home) as made:
        return asyncio.run(_play(made, people, console, once, quiet))


async def _play(made: Place, people: int, console: Console, once: bool, quiet: bool) -> Result:
    story = Story(made, people, console)
    try:
        with story.screen.watching():
            await story.set_up()
            await story.play()
        ended = await result(story)
        if not quiet:
            tell(story.screen, ended)
        if not once:
            console.print(f"\nThe hub goes on; its page: {story.url}/  (Ctrl-C ends everything)")
            with suppress(asyncio.CancelledError), story.screen.watching():
                await story.go_on()
        return ended
    finally:
        await story.close()


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """asyncio ends its main task on SIGINT; the other wishes to end are the same one."""
    signal.raise_signal(signal.SIGINT)
