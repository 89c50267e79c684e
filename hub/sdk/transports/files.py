"""A file dropped into a partner's folder, in steps that the hub takes one by one (protocol.md §4, *Files*).

write `.<name>.<attempt>` → (the hub commits *ready*) → rename → (the hub settles). Each step is safe to take again, and
`look` tells after a crash which of them happened.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class UnsafeName(ValueError):
    """This is no name for a file of ours. The text names the rule, never the name: it may come from outside."""


class AlreadyThere(FileExistsError):
    """The final name exists: the file has left before, or somebody else uses our names."""


_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,149}")
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)


def safe_name(name: str) -> str:
    """The name itself, if it can only ever mean one plain file in one folder on any system. Raises UnsafeName."""
    if not _ALLOWED.fullmatch(name):
        raise UnsafeName(
            "a file name is 1 to 150 letters A–Z, digits, '_', '.' and '-', and begins with a letter, digit or '_'"
        )
    if name.endswith(".") or ".." in name:
        raise UnsafeName("a file name neither ends with '.' nor holds '..'")
    if name.split(".")[0].lower() in _DEVICES:
        raise UnsafeName("a file name is not the name of a device")
    return name


def plain(text: str) -> str:
    """Text made fit for a file name: accents dropped, anything else that is not allowed becomes '-'."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", letters)


def join(folder: Path, name: str) -> Path:
    """`folder/name` for a folder of the configuration. Raises UnsafeName; also when the name is a symbolic link there."""
    path = folder / safe_name(name)
    if path.is_symlink():
        raise UnsafeName("the file name is a symbolic link in that folder")
    return path


def temporary(folder: Path, name: str, attempt: int) -> Path:
    """Where attempt `attempt` (from 1) writes: hidden, in the target folder itself so that the rename is atomic."""
    return folder / f".{safe_name(name)}.{int(attempt)}"


def write_temporary(folder: Path, name: str, attempt: int, data: bytes) -> Path:
    """Write and fsync the temporary and its folder. Again with the same bytes: the same result. Raises OSError, and
    never leaves a final name behind."""
    path = temporary(folder, name, attempt)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o640)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync(folder)
    return path


def publish(folder: Path, name: str, attempt: int) -> Path:
    """Rename the temporary to its final name and fsync the folder: from here on the partner may take it. Raises
    FileNotFoundError when there is no such temporary, AlreadyThere when the final name is taken."""
    final = join(folder, name)
    if final.exists():
        raise AlreadyThere(f"a file of this name is already in {folder}; look whether it left before")
    os.rename(temporary(folder, name, attempt), final)
    _sync(folder)
    return final


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a file stands: its temporary of one attempt, its final name in the folder, and in an archive folder."""

    temporary: bool
    final: bool
    archived: bool

    @property
    def left(self) -> bool:
        """The partner has it or can take it."""
        return self.final or self.archived


def look(folder: Path, name: str, attempt: int, archives: Sequence[Path] = ()) -> Seen:
    """What is there now. After a lapse: *ready* and temporary = `publish`; *ready*, no temporary and `left` = delivered;
    *ready* and neither = a human; not *ready* = `write_temporary` again."""
    return Seen(
        temporary(folder, name, attempt).is_file(),
        join(folder, name).is_file(),
        any(join(archive, name).is_file() for archive in archives),
    )


def delete_older_temporaries(folder: Path, name: str, attempt: int) -> int:
    """Delete what attempts before `attempt` left behind; returns how many files that were."""
    pattern = re.compile(rf"\.{re.escape(safe_name(name))}\.([0-9]{{1,9}})")
    deleted = 0
    for entry in os.scandir(folder):
        match = pattern.fullmatch(entry.name)
        if match and int(match[1]) < attempt and not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
            deleted += 1
    if deleted:
        _sync(folder)
    return deleted


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
