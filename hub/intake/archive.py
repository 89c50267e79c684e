"""Originals and reject lists are personal data: what is kept of them is sealed, in chunks, under a key of the master's.

Each chunk's AAD is its number and whether it is the last, so that nothing can be cut off, swapped or left out unseen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.people.keys import MasterKey, Tampered, open_, seal

CHUNK = 1 << 20
_OVERHEAD = 12 + 16


def seal_file(master: MasterKey, source: Path, target: Path) -> None:
    """Write `source` sealed to `target` (fsynced, appears whole). The source stays."""
    cipher = AESGCM(master.derive("archive"))
    draft = target.with_name(f".{target.name}.part")
    with source.open("rb") as read, draft.open("wb") as write:
        os.fchmod(write.fileno(), 0o600)
        number, chunk = 0, read.read(CHUNK)
        while True:
            following = read.read(CHUNK)
            write.write(seal(cipher, chunk, _place(number, last=not following)))
            if not following:
                break
            number, chunk = number + 1, following
        write.flush()
        os.fsync(write.fileno())
    draft.rename(target)


def open_file(master: MasterKey, sealed: Path) -> Iterator[bytes]:
    """The chunks of what `seal_file` wrote. Raises Tampered when anything is altered or missing."""
    cipher = AESGCM(master.derive("archive"))
    with sealed.open("rb") as read:
        number, chunk = 0, read.read(CHUNK + _OVERHEAD)
        while True:
            following = read.read(CHUNK + _OVERHEAD)
            yield open_(cipher, chunk, _place(number, last=not following))
            if not following:
                return
            number, chunk = number + 1, following


def _place(number: int, *, last: bool) -> bytes:
    return b"archive" + number.to_bytes(8, "big") + bytes([last])


__all__ = ["Tampered", "open_file", "seal_file"]
