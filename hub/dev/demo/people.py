"""The demo's invented people: two CNAF months with their awkward and damaged households, and who gives partners trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from hub.dev.generate.cnaf import Family, Paper, Person, Population, write_file
from hub.dev.generate.cnaf_months import CHANGES
from hub.dev.generate.cnaf_shapes import SHAPES

FEWEST = 40
#: Shapes of which the first month holds one each (domain cases: NIR of 13 and 15 characters, Corsica, MSA, overseas …).
AWKWARD = (
    "couple", "event_twice", "new_wrapper", "nir_with_key", "nir_of_corsica", "nir_missing", "nir_wrong", "msa",
    "day_of_birth_unknown", "matricule_through_a_number", "overseas", "sensitive_parts", "suspended_twice",
    "twice_in_the_file", "closed_before", "moved_in", "moved_out", "without_nom", "stray_ampersand", "half",
)  # fmt: skip
#: What happens to known households in the second month, one after the other.
HAPPENINGS = (
    "moved",
    "suspended",
    "moved",
    "closed",
    "name_corrected",
    "left_for_elsewhere",
    "birth_date_corrected",
)
#: Who enters then.
NEWCOMERS = ("stock", "top", "couple", "moved_in", "event")


@dataclass
class Months:
    """Two months of one CAF. `twice` and `without_address` are people whom France Travail finds twice, or without address."""

    folder: Path
    people: int
    seed: int
    today: date
    families: list[Family] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.population = Population(self.seed)
        self.second = self.today.replace(day=1) - timedelta(days=1)
        self.first = self.second.replace(day=1) - timedelta(days=1)
        self.twice, self.without_address = self._young(), self._young()

    def write_first(self) -> Path:
        """The baseline, with a trailer that announces one household too many."""
        self.families = list(self._first())
        return self._write(self.first, Paper(trailer_off_by=1))

    def write_second(self) -> Path:
        """The next month: a part of the known households changes, others enter."""
        known = [family for family in self.families if family.shape in ("top", "young")]
        for number, happening in enumerate(HAPPENINGS * max(1, self.people // 40)):
            if number < len(known):
                CHANGES[happening](self.population, known[number], self.second)
        self.families = [family for family in self.families if family.rejected is None]
        for number in range(max(len(NEWCOMERS), self.people // 6)):
            shape = NEWCOMERS[number % len(NEWCOMERS)]
            self.families.append(SHAPES[shape](self.population, self.second))
        return self._write(self.second, Paper())

    def _first(self) -> Iterator[Family]:
        yield from (self._family("trouble", person) for person in (self.twice, self.without_address))
        same = self._young()
        doubtful = self._young(name=same.name, birth_name=same.birth_name, first_name=same.first_name)
        doubtful.born, doubtful.sex, doubtful.nir = same.born, same.sex, None
        for person in (same, doubtful):
            yield self._family("namesakes", person, address=("7", "DU PORT", "76351", "76600", "LE HAVRE"))
        adults = 4
        for shape in AWKWARD:
            family = SHAPES[shape](self.population, self.first)
            if family.fonorg == "MSA":
                family.numorg = "276"
            family.shape = shape
            adults += len(family.adults)
            yield family
        while adults < self.people:
            kind = ("young", "young", "top", "stock")[adults % 4]
            adults += 1
            if kind == "young":
                yield self._family(kind, self._young())
            else:
                family = SHAPES[kind](self.population, self.first)
                family.shape = kind
                yield family

    def _family(self, shape: str, person: Person, **more: object) -> Family:
        return self.population.family(shape, person, **more)

    def _young(self, **more: object) -> Person:
        """Under 26 and entering: a mission locale may get it."""
        person = self.population.person(entered="1", **more)
        person.born = date(self.today.year - 21, person.born.month, person.born.day)
        person.nir = self.population.nir(person.sex, person.born)
        return person

    def _write(self, dtref: date, paper: Paper) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"CG076.RSABEM.{dtref:%Y%m}.xml"
        with path.open("wb") as out:
            write_file(out, self.families, "M", dtref, paper)
        return path
