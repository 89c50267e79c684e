"""When a partner's file window closes: everything born before the last boundary leaves now. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_EVERY = re.compile(r"(\d+) ?(s|min|h)")
_DAILY = re.compile(r"daily (\d\d):(\d\d)")
_UNITS = {"s": 1, "min": 60, "h": 3600}


def last_boundary(every: str, now: datetime, zone: str = "Europe/Paris") -> datetime:
    """The last closing at or before `now` (aware). `every` is "30 s", "15 min", "2 h" (aligned to the epoch) or
    "daily 06:00" in the territory's time. Raises ValueError for anything else."""
    if _EVERY.fullmatch(every):
        step = seconds(every)
        return datetime.fromtimestamp(int(now.timestamp()) // step * step, UTC)
    if match := _DAILY.fullmatch(every):
        local = now.astimezone(ZoneInfo(zone))
        at = datetime.combine(local.date(), time(int(match[1]), int(match[2])), ZoneInfo(zone))
        if at > local:
            at = datetime.combine(
                local.date() - timedelta(days=1), at.timetz().replace(tzinfo=None), ZoneInfo(zone)
            )
        return at.astimezone(UTC)
    raise ValueError(f'a file window is "30 s", "15 min", "2 h" or "daily 06:00", not {every!r}')


def seconds(every: str) -> int:
    """ "30 s", "1 min", "2 h" in seconds, at least one. Raises ValueError."""
    match = _EVERY.fullmatch(every)
    if match is None or not int(match[1]):
        raise ValueError(f'an interval is "30 s", "1 min" or "2 h", not {every!r}')
    return int(match[1]) * _UNITS[match[2]]
