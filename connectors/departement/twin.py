"""A small WebRSA: takes the hub's CSV files, a chargé d'orientation decides by a seed, exports WebRSA-ALI and POS_W.

Folders under `state`: ``depot`` (the hub drops), ``archive``, ``refuses``, ``exports`` (referentiel.xml, exports, POS_W).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.departement import webrsa_files
from hub.sdk.profile import load_profile
from hub.sdk.twin import Twin, main

FOLDER = Path(__file__).parent
FIRST_PERSON, FIRST_FICHE = 90001, 4201
#: (id in WebRSA, organism, label), as in the example territory 76
STRUCTURES = (
    ("2", "FT", "France Travail Rouen (exemple)"),
    ("3", "CD", "Unité territoriale d'action sociale de Rouen (exemple)"),
    ("5", "ML", "Mission locale des Boucles (exemple)"),
    ("11", "DCD", "Chantier des Boucles (exemple)"),
)
CONVENTIONS = ("CONV-2026-002", "CONV-2026-014", "CONV-2026-021", "CONV-2026-033")
_TYPES = {"FT": "1", "CD": "3", "ML": "2", "DCD": "2"}
_MANDATORY = ("Identifiant dans le SI", "Prénom", "Nom", "Date de naissance")
_CONTACTS = ("Téléphone", "Email", "Adresse", "Adresse (complément)", "Code postal", "Ville")


@dataclass
class _Person:
    """One file in WebRSA. `cells` are the columns of the profile; `touched` when a contact was last changed."""

    number: int
    cells: dict[str, str]
    orientations: list[dict[str, Any]] = field(default_factory=list)
    referents: list[dict[str, Any]] = field(default_factory=list)
    touched: str | None = None
    decided: bool = False
    exported: bool = True


class DepartementTwin(Twin):
    """`share` is the chance that a decision is followed by a measure request. `every` None: only on demand."""

    name = "departement"
    honest = (
        "A fake of a département's WebRSA for the demo and the tests. It decides orientations by a seed: no person, no "
        "council and no WebRSA is behind it. Its files have the elements and columns of the real ones."
    )

    def __init__(
        self,
        state: Path,
        *,
        every: float | None = 0.5,
        share: float = 0.5,
        operator: str = "1",
        structures: Sequence[tuple[str, str, str]] = STRUCTURES,
        conventions: Sequence[str] = CONVENTIONS,
        **more: Any,
    ) -> None:
        self.every, self.share, self.operator = every, share, operator
        self.structures, self.conventions = tuple(structures), tuple(conventions)
        self.folder, self.archive, self.refused, self.exports = (
            state / name for name in ("depot", "archive", "refuses", "exports")
        )
        for folder in (self.folder, self.archive, self.refused, self.exports):
            folder.mkdir(parents=True, exist_ok=True)
        self.profile = load_profile(FOLDER / "formats" / "carnet_25.toml", FOLDER / "codes")
        _place(self.exports / "referentiel.xml", webrsa_files.referential(self.structures))
        super().__init__(state, **more)

    # ------------------------------------------------------------------ state
    def reset(self) -> None:
        self.persons: dict[int, _Person] = {}
        self.by_reference: dict[str, int] = {}
        self.fiches: dict[int, dict[str, Any]] = {}
        self.returns: list[dict[str, str]] = []
        self.taken: dict[str, str] = {}
        self.last_export: str | None = None

    def fold(self, effect: Mapping[str, Any]) -> None:
        match effect["effect"]:
            case "taken":
                self.taken[effect["file"]] = "taken"
                for line in effect["lines"]:
                    self._take_line(effect["action"], line, effect["at"])
            case "refused":
                self.taken[effect["file"]] = "refused"
            case "decided":
                person = self.persons[effect["person"]]
                person.decided, person.exported = True, False
                person.orientations.append(effect["orientation"])
                person.referents.append(effect["referent"])
            case "requested":
                self.fiches[effect["fiche"]["number"]] = {**effect["fiche"], "exported": False}
            case "exported":
                self.last_export = effect["moment"]
                for person in effect["persons"]:
                    self.persons[person].exported = True
                for fiche in effect["fiches"]:
                    self.fiches[fiche]["exported"] = True

    def _take_line(self, action: str, line: Mapping[str, str], at: str) -> None:
        if action == "retours":
            self.returns.append(dict(line))
            number = line["identifiant_webrsa"]
            if number.isdecimal() and int(number) in self.fiches:
                self.fiches[int(number)]["retour"] = dict(line)
            return
        person = self._person(line)
        if action == "modifications":
            told = {name: line[name] for name in (*_CONTACTS, "Droits RSA") if line[name]}
            if line["Nature"] == "ETAT_CIVIL":
                told |= {name: line[name] for name in ("Prénom", "Nom")}
            person.cells |= told
            if told.keys() & set(_CONTACTS):
                person.touched = at
            person.exported = person.exported and not person.decided

    def _person(self, line: Mapping[str, str]) -> _Person:
        """Found by WebRSA's own number or the hub's reference, else made."""
        key = line["Identifiant dans le SI"]
        number = int(key) if key.isdecimal() and int(key) in self.persons else self.by_reference.get(key)
        if number is None:
            number = FIRST_PERSON + len(self.persons)
            self.by_reference[key] = number
            self.persons[number] = _Person(number, dict(line))
        return self.persons[number]

    # ------------------------------------------------------------------ what it does by itself
    def tick(self) -> int:
        """Take files, decide about new people, export what changed."""
        done = self._take_files()
        for person in list(self.persons.values()):
            if not person.decided:
                self.decide(person.number)
                done += 1
        return done + self.export()

    def decide(self, person: int, structure: str | None = None) -> None:
        """Orient one person, by the seed or to `structure` (WebRSA's id); a measure request may follow."""
        draw = random.Random(f"{self.seed}:{person}:{len(self.persons[person].orientations)}")
        number, organism, _ = (
            next(s for s in self.structures if s[0] == structure)
            if structure
            else draw.choice(self._open_to(person))
        )
        today = self.clock().date().isoformat()
        rank = len(self.persons[person].orientations) + 1
        self.apply(
            "decided",
            person=person,
            orientation={
                "number": 10 * person + rank,
                "on": today,
                "type": _TYPES[organism],
                "structure": number,
                "rank": rank,
            },
            referent={"structure": number, "referent": webrsa_files.referent_of(number), "on": today},
        )
        if self.conventions and draw.random() < self.share:
            self.request(person, draw.choice(self.conventions), number)

    def request(self, person: int, convention: str, structure: str = "") -> int:
        """Position one person on an action; returns the fiche's number."""
        number = FIRST_FICHE + len(self.fiches)
        fiche = {
            "number": number,
            "person": person,
            "convention": convention,
            "structure": structure,
            "on": self.clock().date().isoformat(),
        }
        self.apply("requested", fiche=fiche)
        return number

    def export(self) -> int:
        """Write what changed since the last export. The file comes before the log: after a crash it may be written again
        under another name, which the reader must take as no news."""
        people = [person for person in self.persons.values() if not person.exported]
        fiches = [fiche for fiche in self.fiches.values() if not fiche["exported"]]
        if not people and not fiches:
            return 0
        moment = self._moment()
        if people:
            name = f"export_webrsa_ali_{self.operator}_diff_{moment:%Y-%m-%d_%H-%M-%S}.xml"
            _place(self.exports / name, webrsa_files.export(people, self.operator, moment, whole=False))
        if fiches:
            rows = [(fiche, self.persons[fiche["person"]].cells) for fiche in fiches]
            _place(self.exports / f"POS_W_{moment:%Y%m%d%H%M%S}.csv", webrsa_files.pos_w(rows, moment.date()))
        self.apply(
            "exported",
            moment=moment.isoformat(),
            persons=[person.number for person in people],
            fiches=[fiche["number"] for fiche in fiches],
        )
        return len(people) + len(fiches)

    def _moment(self) -> datetime:
        """Local time of the export, a second after the last one at least: names and order depend on it."""
        now = self.clock().astimezone(webrsa_files.PARIS).replace(microsecond=0)
        if self.last_export is None:
            return now
        return max(now, datetime.fromisoformat(self.last_export) + timedelta(seconds=1))

    def _open_to(self, person: int) -> list[tuple[str, str, str]]:
        """A mission locale takes people under 26 only."""
        young = (self.clock().date() - self._born(self.persons[person])).days < 26 * 365.25
        return [s for s in self.structures if young or s[1] != "ML"]

    def _born(self, person: _Person) -> date:
        return datetime.strptime(person.cells["Date de naissance"], self.profile.dates).date()

    # ------------------------------------------------------------------ at the keyboard
    def routes(self) -> list[Route]:
        """What somebody types into it (WebRSA itself has no such interface): ``GET /personnes``, ``POST /orientations``
        {person, structure}, ``POST /fiches`` {person, convention}."""
        return [
            Route("/personnes", self._listed),
            Route("/orientations", self._typed, methods=["POST"]),
            Route("/fiches", self._typed, methods=["POST"]),
        ]

    async def _listed(self, _: Request) -> Response:
        return JSONResponse(
            [
                {
                    "person": person.number,
                    "born": self._born(person).isoformat(),
                    "structures": [o["structure"] for o in person.orientations],
                }
                for person in self.persons.values()
            ]
        )

    async def _typed(self, request: Request) -> Response:
        try:
            said = json.loads(await request.body())
        except ValueError:
            return JSONResponse({"code": "json_illisible"}, 400)
        if not isinstance(said, dict) or said.get("person") not in self.persons:
            return JSONResponse({"code": "personne_inconnue"}, 422)
        person, structure, convention = said["person"], said.get("structure"), said.get("convention")
        if request.url.path == "/fiches":
            if convention not in self.conventions:
                return JSONResponse({"code": "convention_inconnue"}, 422)
            last = self.persons[person].orientations
            return JSONResponse(
                {"fiche": self.request(person, convention, last[-1]["structure"] if last else "")}, 201
            )
        if structure not in {number for number, _, _ in self.structures}:
            return JSONResponse({"code": "structure_inconnue"}, 422)
        self.decide(person, structure)
        return JSONResponse({"rank": len(self.persons[person].orientations)}, 201)

    # ------------------------------------------------------------------ files in
    def _take_files(self) -> int:
        names = sorted(e.name for e in os.scandir(self.folder) if e.is_file() and not e.name.startswith("."))
        for name in names:
            if name not in self.taken:
                try:
                    action, lines = self._read((self.folder / name).read_bytes())
                except (ValueError, csv.Error) as error:
                    self.apply("refused", file=name, why=str(error))
                else:
                    self.apply("taken", file=name, action=action, lines=lines)
            os.replace(
                self.folder / name, (self.archive if self.taken[name] == "taken" else self.refused) / name
            )
        return len(names)

    def _read(self, data: bytes) -> tuple[str, list[dict[str, str]]]:
        """Raises ValueError saying why the file is refused."""
        try:
            text = data.decode(self.profile.encoding)
        except UnicodeDecodeError:
            raise ValueError(f"not {self.profile.encoding}") from None
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=self.profile.separator, strict=True)
        found = list(reader.fieldnames or ())
        for action, layout in self.profile.actions.items():
            if found == [column.header for column in layout.columns]:
                lines = list(reader)
                for number, line in enumerate(lines, 2):
                    if problem := self._problem(action, line):
                        raise ValueError(f"line {number}: {problem}")
                return action, lines
        raise ValueError("these columns are no layout of this system")

    def _problem(self, action: str, line: Mapping[str, str]) -> str | None:
        if None in line or None in line.values():
            return "not one cell per column"
        if action == "retours":
            return None if line["identifiant_webrsa"] or line["identifiant_frsa"] else "names no fiche"
        if missing := [name for name in _MANDATORY if not line[name]]:
            return f"{', '.join(missing)} must be filled"
        if re.search(r"[()\[\]{}]", line["Nom"] + line["Prénom"]):
            return "brackets in a name"
        if line["NIR"] and not re.fullmatch(r"[1-478][0-9]{4}[0-9AB]{8}([0-9]{2})?", line["NIR"]):
            return "NIR has neither 13 nor 15 characters"
        try:
            datetime.strptime(line["Date de naissance"], self.profile.dates)
        except ValueError:
            return "Date de naissance is no date"
        return None


def _place(path: Path, data: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _make(arguments: argparse.Namespace) -> DepartementTwin:
    more: dict[str, Any] = {}
    if arguments.structures:
        more["structures"] = [
            (row["webrsa_id"], row["organism"], row["label"])
            for row in _table(arguments.structures)
            if row["organism"] in _TYPES
        ]
    if arguments.actions:
        more["conventions"] = [row["convention"] for row in _table(arguments.actions)]
    return DepartementTwin(arguments.state, seed=arguments.seed, share=arguments.share, **more)


def _table(path: Path) -> list[dict[str, str]]:
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    return list(csv.DictReader(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=DepartementTwin.honest)
    parser.add_argument("--structures", type=Path, help="structures.csv of a territory")
    parser.add_argument("--actions", type=Path, help="actions.csv of a territory")
    parser.add_argument(
        "--share", type=float, default=0.5, help="chance of a measure request after a decision"
    )
    main(_make, parser)
