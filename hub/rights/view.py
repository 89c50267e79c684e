"""What a partner sees of a record: connector's fields ∩ the kind's default ∩ the agreement's narrowing, and for a
protected person neither address nor phones nor the place of an appointment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from hub.rights.agreement import PROTECTED, Agreement, Kind, common, covers, defaults
from hub.rights.configuration import Configuration
from hub.sdk.manifest import Manifest

BLOCKS = ("person", "sensitive")
"""The sealed blocks of an event (protocol.md §5); a view that names no field of a block never opens it."""


@dataclass(frozen=True)
class View:
    """The paths of one record that may reach one partner; a path stands for all that is below it."""

    record: str
    fields: frozenset[str]

    @cached_property
    def clear(self) -> tuple[str, ...]:
        """Paths of the clear body, sorted."""
        return tuple(sorted(path for path in self.fields if path.partition(".")[0] not in BLOCKS))

    @cached_property
    def person(self) -> tuple[str, ...]:
        """Paths inside the sealed person block, sorted; empty = the block stays closed."""
        return self._block("person")

    @cached_property
    def sensitive(self) -> tuple[str, ...]:
        """Paths inside the sealed HEALTH block, sorted; empty = the block stays closed."""
        return self._block("sensitive")

    def _block(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(path[len(name) + 1 :] for path in self.fields if path.startswith(name + ".")))

    def less_than(self, stored: Iterable[str]) -> bool:
        """True when a message composed with the paths `stored` holds something that this view does not allow: a marked
        item is then withheld(less_than_stored) instead of being sent again."""
        return any(not covers(self.fields, path) for path in stored)


def view_fields(
    manifest: Manifest,
    kind: Kind,
    record: str,
    narrowing: Iterable[str] | None = None,
    protected: bool = False,
    health: bool = False,
) -> frozenset[str]:
    """The paths that a partner of this connector and kind may get of the record; empty when any of the three has none.

    `narrowing` None = the agreement does not narrow. `health`: the agreement has an article 9 basis, so the default's
    HEALTH fields count too. `protected` takes PROTECTED away last; nothing can put it back."""
    declared = manifest.outbound.records.get(record) if manifest.outbound else None
    default = defaults(kind).get(record)
    if declared is None or default is None:
        return frozenset()
    found = common(declared.fields, (*default.fields, *default.health) if health else default.fields)
    if narrowing is not None:
        found = common(found, narrowing)
    if protected:
        found = frozenset(path for path in found if not covers(PROTECTED, path))
    return found


def agreed_view(manifest: Manifest, kind: Kind, record: str, agreement: Agreement, protected: bool) -> View:
    """The view under one agreement."""
    fields = view_fields(
        manifest, kind, record, agreement.narrowing(record), protected, agreement.article9 is not None
    )
    return View(record, fields)


def view_of(
    configuration: Configuration, manifest: Manifest, partner: str, record: str, on: date, protected: bool
) -> View:
    """The partner's view of the record on that day, as the claim composes it; without an agreement in force it is empty.

    Computed once per configuration, partner, record, agreement and protection."""
    agreement = configuration.agreement(partner, record, on)
    kind = configuration.kind_of(partner)
    if agreement is None or kind is None:
        return View(record, frozenset())
    known: dict[tuple[str, str, str, str, bool], View] = configuration.memo("views", lambda _: {})
    key = (manifest.name, kind, agreement.id, record, protected)
    if key not in known:
        known[key] = agreed_view(manifest, kind, record, agreement, protected)
    return known[key]
