"""Pages are asked for one by one, and only after the caller has dealt with the one before."""

from __future__ import annotations

from hub.sdk.transports import Fault, Page, pages


async def read(answers: dict, start: str | None = None, at_most: int = 100) -> tuple[list, list]:
    asked: list[str | None] = []

    async def fetch(cursor: str | None):
        asked.append(cursor)
        return answers[cursor]

    return [page async for page in pages(fetch, start, at_most=at_most)], asked


async def test_pages_follow_the_cursor_until_it_stops():
    got, asked = await read({None: Page((1, 2), "b"), "b": Page((3,), "c"), "c": Page((), "c")})
    assert [page.items for page in got] == [(1, 2), (3,)]
    assert asked == [None, "b", "c"]


async def test_empty_page_that_moves_the_cursor_is_given_too():
    got, asked = await read({None: Page((), "b"), "b": Page((), "b")})
    assert got == [Page((), "b")]
    assert asked == [None, "b"]


async def test_fault_ends_the_round_and_is_given():
    fault = Fault("deadline", started=True)
    got, _ = await read({None: Page((1,), "b"), "b": fault})
    assert got == [Page((1,), "b"), fault]


async def test_partner_whose_cursor_never_ends_is_left_for_the_next_round():
    async def fetch(cursor: str | None):
        return Page((1,), str(int(cursor or 0) + 1))

    assert len([page async for page in pages(fetch, None, at_most=5)]) == 5


async def test_next_page_is_not_asked_before_this_one_is_dealt_with():
    asked = []

    async def fetch(cursor: str | None):
        asked.append(cursor)
        return Page((1,), f"{cursor}+")

    async for _ in pages(fetch, "a"):
        break
    assert asked == ["a"]
