"""What a partner sees of a record: connector's fields ∩ the kind's default ∩ the agreement's narrowing, and for a
protected person neither address nor phones nor the place of an appointment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from hub.rights.agreement import PROTECTED, Kind, common, covers, defaults
from hub.rights.configuration import Configuration
from hub.rights.route import Facts, Reason, Withhold, allowed, table
from hub.sdk.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Withheld:
    """This partner gets nothing of the event now."""

    reason: Reason


BLOCKS = ("person", "sensitive")
"""The sealed blocks of an event (protocol.md §5); a view that names no field of a block never opens it."""


@dataclass(frozen=True)
class View:
    """The paths of one record that may reach one partner; a path stands for all that is below it."""

    record: str
    fields: frozenset[str]

    @cached_property
    def clear(self) -> frozenset[str]:
        """Paths of the clear body."""
        return frozenset(path for path in self.fields if path.partition(".")[0] not in BLOCKS)

    @cached_property
    def person(self) -> frozenset[str]:
        """Paths inside the sealed person block; empty = the block stays closed."""
        return self._block("person")

    @cached_property
    def sensitive(self) -> frozenset[str]:
        """Paths inside the sealed HEALTH block; empty = the block stays closed."""
        return self._block("sensitive")

    def _block(self, name: str) -> frozenset[str]:
        return frozenset(path[len(name) + 1 :] for path in self.fields if path.startswith(name + "."))

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


def view_of(
    configuration: Configuration, manifest: Manifest, partner: str, record: str, on: date, protected: bool
) -> View:
    """The partner's view of the record on that day, as the claim composes it; without an agreement in force it is empty,
    except for the hub's notices (route.toml), which need none.

    Computed once per configuration, partner's kind, record, agreement and protection."""
    kind = configuration.kind_of(partner)
    agreement = configuration.agreement(partner, record, on)
    row = table().records.get(record)
    if kind is None or row is None or (agreement is None and not row.notice):
        return View(record, frozenset())
    known: dict[tuple[Any, ...], tuple[Manifest, View]] = configuration.memo("views", lambda _: {})
    key = (id(manifest), kind, agreement.id if agreement else None, record, protected)
    if key not in known:
        narrowing = agreement.narrowing(record) if agreement else None
        health = agreement is not None and agreement.article9 is not None
        fields = view_fields(manifest, kind, record, narrowing, protected, health)
        known[key] = manifest, View(record, fields)  # holding the manifest keeps its id its own
    return known[key][1]


def present_view(
    facts: Facts, configuration: Configuration, manifest: Manifest, partner: str, on: date, protected: bool
) -> View | Withheld:
    """What the claim needs: the rights of this moment, then the view. `facts` carry the person's present `restricted`
    and `objections`. An empty view is withheld(nothing_to_say): the connector does not speak of this record."""
    verdict = allowed(facts, configuration, partner, on).verdict
    if isinstance(verdict, Withhold):
        return Withheld(verdict.reason)
    view = view_of(configuration, manifest, partner, facts.record, on, protected)
    return view if view.fields else Withheld("nothing_to_say")
