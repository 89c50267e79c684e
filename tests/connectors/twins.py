"""Twins as processes of their own, for tests that kill things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def twin_process(module: str, state: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start ``python -m <module>``; gives its URL and the process, which is ended by its own pid afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--state", str(state), *arguments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        yield ready["url"], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
