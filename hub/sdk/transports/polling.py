"""Polling with a cursor: the hub keeps the cursor in the transaction that accepts the page, so a page is never lost and a
repeated one is only duplicates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hub.sdk.transports.answers import Fault

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items in the partner's order, and the cursor after them; None = the partner has no cursor yet."""

    items: tuple[Item, ...]
    cursor: str | None


async def pages(
    fetch: Callable[[str | None], Awaitable[Page[Item] | Fault]], cursor: str | None, *, at_most: int = 100
) -> AsyncIterator[Page[Item] | Fault]:
    """Page after page from `cursor` until the cursor does not move, a fault ends it (it is yielded), or
    `at_most` pages were read. The next page is asked for only when the caller has dealt with the one before."""
    for _ in range(at_most):
        page = await fetch(cursor)
        if isinstance(page, Fault):
            yield page
            return
        if page.items or page.cursor != cursor:
            yield page
        if page.cursor == cursor:
            return
        cursor = page.cursor
