"""A mission locale: takes files from its drop folder, archives them, remembers every line; refuses what it cannot read."""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.sdk.profile import load_profile
from hub.sdk.twin import Twin, main

FOLDER = Path(__file__).parent
FORBIDDEN = frozenset({"nir", "numero_caf", "matricule", "etat_dossier"})


class MissionLocaleTwin(Twin):
    """Folders under `state`: ``depot`` (the hub writes), ``archive`` (taken), ``refuses``. `every` None: only on demand."""

    name = "mission_locale"
    honest = (
        "A fake of a mission locale for the demo and the tests: it reads files and keeps a log of their lines. It is not "
        "i-MILO and knows nothing of it."
    )

    def __init__(
        self, state: Path, *, every: float | None = 0.2, profile: str = "suivi", **more: Any
    ) -> None:
        self.every = every
        self.folder, self.archive, self.refused = (state / name for name in ("depot", "archive", "refuses"))
        for folder in (self.folder, self.archive, self.refused):
            folder.mkdir(parents=True, exist_ok=True)
        self.profile = load_profile(FOLDER / "formats" / f"{profile}.toml", FOLDER / "codes")
        super().__init__(state, **more)

    def reset(self) -> None:
        self.taken: dict[str, str] = {}
        self.lines: list[dict[str, str]] = []

    def fold(self, effect: Mapping[str, Any]) -> None:
        self.taken[effect["file"]] = effect["effect"]
        self.lines += effect.get("lines", [])

    def tick(self) -> int:
        """Take every visible file, oldest name first. The log comes before the move: a file found again after a crash is
        only moved."""
        names = sorted(e.name for e in os.scandir(self.folder) if e.is_file() and not e.name.startswith("."))
        for name in names:
            if name not in self.taken:
                self._take(name)
            target = self.archive if self.taken[name] == "taken" else self.refused
            os.replace(self.folder / name, target / name)
        return len(names)

    def _take(self, name: str) -> None:
        try:
            lines = self._read((self.folder / name).read_bytes())
        except (ValueError, csv.Error) as error:
            self.apply("refused", file=name, why=str(error))
        else:
            self.apply("taken", file=name, keys=[line.get("id_message", "") for line in lines], lines=lines)

    def _read(self, data: bytes) -> list[dict[str, str]]:
        """Raises ValueError saying why the file is refused."""
        try:
            text = data.decode(self.profile.encoding)
        except UnicodeDecodeError:
            raise ValueError(f"not {self.profile.encoding}") from None
        wanted = [column.header for column in self.profile.actions["suivi"].columns]
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=self.profile.separator, strict=True)
        found = list(reader.fieldnames or ())
        if set(found) & FORBIDDEN:
            raise ValueError("holds an identifier that a mission locale does not get")
        if found != wanted:
            raise ValueError(f"columns are not {self.profile.separator.join(wanted)}")
        lines = list(reader)
        for number, line in enumerate(lines, 2):
            if None in line or None in line.values():
                raise ValueError(f"line {number}: not one cell per column")
            if not line["nature"] or not line["reference_usager"]:
                raise ValueError(f"line {number}: nature and reference_usager must be there")
        return lines


def _make(arguments: argparse.Namespace) -> MissionLocaleTwin:
    return MissionLocaleTwin(arguments.state, seed=arguments.seed)


if __name__ == "__main__":
    main(_make, argparse.ArgumentParser(description=MissionLocaleTwin.honest))
