"""The hub's id of a measure request that came from WebRSA: it carries the number of the fiche de prescription, so that the
answer finds its fiche again without a table.

A UUID of version 8 (RFC 9562 §5.8): a keyed digest, a check over the number, the number in its last 48 bits. The number is an
ordinal of WebRSA's and says nothing of the person; the digest keeps ids of two territories apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from uuid import UUID

_NUMBER_BITS = 48


def measure_id(number: int, digest: Callable[..., str]) -> UUID:
    """The id for a fiche's number (1 to 2^48 − 1); the same number and key give the same id. Raises ValueError."""
    if not 0 < number < 1 << _NUMBER_BITS:
        raise ValueError("a fiche's number is a whole number from 1 to 15 digits")
    keyed = int(digest("measure", "webrsa", str(number))[:15], 16)  # 60 bits
    high, low = keyed >> 12, keyed & 0xFFF
    value = (high << 80) | (0x8 << 76) | (low << 64) | (0b10 << 62)
    return UUID(int=value | ((_check(number) & 0x3FFF) << _NUMBER_BITS) | number)


def fiche_number(identifier: str | UUID) -> int | None:
    """The number that `measure_id` put in, None for an id of any other origin."""
    try:
        value = UUID(str(identifier))
    except ValueError:
        return None
    number = value.int & ((1 << _NUMBER_BITS) - 1)
    check = (value.int >> _NUMBER_BITS) & 0x3FFF
    return number if value.version == 8 and number and check == _check(number) & 0x3FFF else None


def _check(number: int) -> int:
    return zlib.crc32(b"webrsa fiche %d" % number)
