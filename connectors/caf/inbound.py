"""CNAF beneficiaries files in: reads them in two passes, remembers per payer and household, decides by rules.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, BinaryIO

from connectors.caf import sequence
from connectors.caf.formats import envelope
from connectors.caf.formats.blocks import Piece
from connectors.caf.formats.groups import Bad, read_block
from connectors.caf.formats.rsabe import Household, household_of
from connectors.caf.rules import decide
from hub.sdk.inbound import Context, Examined, Notice, Parts, Position, Reject

__all__ = ["begin", "complete", "decide", "examine", "finish", "keys", "read", "senders"]

_DAMAGE = {
    "unclosed": ("malformed", "its end tag is missing"),
    "no_start": ("malformed", "its start tag is missing"),
    "too_large": ("too_large", "more than 4 MiB for one household"),
    "truncated": ("truncated", "the file ends inside it"),
}


def examine(source: BinaryIO, settings: Mapping[str, Any]) -> Examined:
    """First pass. Raises FileRefused."""
    return envelope.examine(source, settings)


def begin(context: Context) -> list[Notice]:
    """What the payers' memory makes odd about this file. Raises FileRefused when a payer has sent a younger file of this
    kind, or the file is meant for another département than the partner's setting says."""
    sequence.check(context)
    return list(sequence.notices(context))


def senders(context: Context) -> list[dict[str, Any]]:
    """Each payer, and whether this file is its baseline; `previous_dtref` bounds "in the period"."""
    return sequence.payers(context)


def read(source: BinaryIO, examined: Examined) -> Iterator[Household | Reject]:
    """Second pass: one household or reject at a time. What the file has shown before is marked, not left out."""
    blocks: set[int] = set()
    adults: set[int] = set()
    for ordinal, piece in enumerate(envelope.households(source), 1):
        position = Position(ordinal, piece.line)
        try:
            household = _household(piece, position, examined.header)
        except Bad as bad:
            yield Reject(position, bad.reason, bad.field, bad.detail)
            continue
        content = hash(household)
        persons = {adult.own_key: hash((household.key, adult.own_key)) for adult in household.adults}
        known = frozenset(key for key, value in persons.items() if value in adults)
        if known or content in blocks:
            household = replace(household, duplicate=content in blocks, known_adults=known)
        blocks.add(content)
        adults.update(persons.values())
        yield household


def keys(record: Household) -> Sequence[Parts]:
    """One memory per household; its first two parts are the payer's key."""
    return (record.key,)


def complete(context: Context) -> list[Parts]:
    """The payers whose households are all in this file (a monthly one), so that those left out can be counted."""
    return sequence.whole(context)


def finish(context: Context, examined: Examined) -> dict[Parts, dict[str, Any]]:
    """The payers' memory after the file: DTREF of this kind, and the baseline."""
    return sequence.after(context)


def _household(piece: Piece, position: Position, header: Mapping[str, Any]) -> Household:
    if piece.damage:
        reason, detail = _DAMAGE[piece.damage]
        raise Bad(reason, None, detail)
    block = read_block(piece.data, header["encoding"], header["namespaces"].encode())
    return household_of(block, position, date.fromisoformat(header["created"][:10]))
