"""What happens to invented households between two CNAF files: at most one thing each, so that the truth stays plain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from hub.dev.generate.cnaf import Family, Population
from hub.dev.generate.cnaf_shapes import SHAPES

Change = Callable[[Population, Family, date], None]
CHANGES: dict[str, Change] = {}


def change(happen: Change) -> Change:
    """Register what can happen, under its function's name."""
    CHANGES[happen.__name__] = happen
    return happen


def _state(family: Family, state: str, *reasons: tuple[str, date]) -> None:
    family.state, family.reasons = state, list(reasons)


@change
def suspended(pop: Population, family: Family, on: date) -> None:
    _state(family, "4", (pop.random.choice(("06", "CG", "01")), on))


@change
def suspended_losing_rights(pop: Population, family: Family, on: date) -> None:
    _state(family, "4", ("02", on))


@change
def right_suspended(pop: Population, family: Family, on: date) -> None:
    _state(family, "3", ("DC", on))


@change
def resumed(pop: Population, family: Family, on: date) -> None:
    _state(family, "2")


@change
def closed(pop: Population, family: Family, on: date) -> None:
    _state(family, pop.random.choice("56"), ("RFD", on))


@change
def refused(pop: Population, family: Family, on: date) -> None:
    _state(family, "1", ("F09", on))


@change
def pending_again(pop: Population, family: Family, on: date) -> None:
    _state(family, "0")


@change
def moved(pop: Population, family: Family, on: date) -> None:
    family.address, family.moved_on = (
        (str(pop.random.randint(100, 999)), "DU PORT", "76351", "76600", "LE HAVRE"),
        on,
    )


@change
def left_for_elsewhere(pop: Population, family: Family, on: date) -> None:
    _state(family, "5", ("MUT", on))
    family.left = ("CAF", "271", on)


@change
def came_from_elsewhere(pop: Population, family: Family, on: date) -> None:
    family.arrived = ("CAF", "591", on)


@change
def name_corrected(pop: Population, family: Family, on: date) -> None:
    family.people[0].name += " BIS"


@change
def birth_date_corrected(pop: Population, family: Family, on: date) -> None:
    family.people[0].born -= timedelta(days=400)


@change
def enters_by_top(pop: Population, family: Family, on: date) -> None:
    for person in family.people:
        person.entered = "1"


@change
def enters_by_event(pop: Population, family: Family, on: date) -> None:
    family.events = [("ENTDED", on)]


@change
def event_denied(pop: Population, family: Family, on: date) -> None:
    family.events = [("ENTDED", on)]
    family.people[0].entered = "0"


@change
def duties_end(pop: Population, family: Family, on: date) -> None:
    for person in family.people:
        person.top = "0"


@change
def duties_begin(pop: Population, family: Family, on: date) -> None:
    for person in family.people:
        person.top = "1"


@change
def new_claim(pop: Population, family: Family, on: date) -> None:
    family.claim, family.claim_on = f"{pop.random.randint(0, 10**11 - 1):011d}", on
    for person in family.people:
        person.preceding = None


@change
def new_claim_that_goes_on(pop: Population, family: Family, on: date) -> None:
    for person in family.people:
        person.preceding = family.claim
    family.claim, family.claim_on = f"{pop.random.randint(0, 10**11 - 1):011d}", on


@change
def partner_joins(pop: Population, family: Family, on: date) -> None:
    if len(family.people) < 3:
        family.people.append(pop.person("CJT"))


@change
def partner_leaves(pop: Population, family: Family, on: date) -> None:
    family.people = family.people[:1]


@change
def roles_turned(pop: Population, family: Family, on: date) -> None:
    for person in family.people:
        person.role = {"DEM": "CJT", "CJT": "DEM"}.get(person.role, person.role)


@dataclass(slots=True)
class Town:
    """A payer's households over the months."""

    population: Population
    families: list[Family] = field(default_factory=list)

    def happen(self, on: date, share: float) -> list[Family]:
        """Something happens to a share of the households, and new ones come; gives those that a daily file would hold."""
        choose, touched = self.population.random, []
        for family in self.families:
            family.events = [event for event in family.events if event[0] != "ADR"]
            if family.rejected is None and choose.random() < share:
                CHANGES[choose.choice(list(CHANGES))](self.population, family, on)
                touched.append(family)
        for _ in range(max(1, round(len(self.families) * share / 4))):
            family = SHAPES[choose.choice(("stock", "couple", "top", "event", "moved_in"))](
                self.population, on
            )
            self.families.append(family)
            touched.append(family)
        return touched

    def leave_out(self, families: Iterable[Family]) -> None:
        """Households that no later file mentions."""
        gone = {id(family) for family in families}
        self.families = [family for family in self.families if id(family) not in gone]
