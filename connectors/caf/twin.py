"""A CAF that sends its files: a small invented population, to which things happen day by day, and one file a day.

The files land in a drop folder: a daily one (RSABEI) with the households that something happened to, at a month's end
the monthly one (RSABEM) with all of them.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from hub.sdk.twin import Twin, main

_NAMES = ("LEFÈVRE", "GARÇON", "NOËL", "MOREAU", "ÉVRARD", "ROUX", "BŒUF", "LE GOFF", "D'ARC", "MARTIN-DUPRÉ")
_FIRST = {
    "1": ("JOËL", "PAUL", "KARIM", "LOÏC", "JEAN-MARC"),
    "2": ("ANNE-SOPHIE", "ZOÉ", "FATOU", "INÈS", "AGNÈS"),
}
_STREETS = ("DES BOUCLES", "DU PORT", "DE L'ÉGLISE", "VICTOR HUGO")
_TOWNS = (("76540", "76000", "ROUEN"), ("76351", "76600", "LE HAVRE"), ("76217", "76200", "DIEPPE"))
_PARTS = {
    "4": ("SuspensionVersement", "MOTISUSVERSRSA", "DDSUSVERSRSA"),
    "5": ("FinDroit", "MOTICLORSA", "DTCLORSA"),
}
_HAPPENINGS = ("suspend", "resume", "move", "close", "leave")


@dataclass
class Home:
    """One household as this CAF knows it. `entered_on` begins its people's rights and duties; `fg` is what the day made
    happen, `touched` whether the next daily file holds it."""

    matricule: str
    claim: str
    claim_on: date
    people: list[dict[str, str]]
    address: list[str]
    moved_on: date
    entered_on: date
    state: str = "2"
    reason: str | None = None
    since: date | None = None
    came_from: str | None = None
    left_for: str | None = None
    fg: list[tuple[str, date]] = field(default_factory=list)
    touched: bool = True
    settled: bool = False


class CafTwin(Twin):
    """`drop` is the folder where its files land, `start` the day of its first monthly file, `population` how many
    households it begins with, `happenings` how many things happen in a day (and one new claim every other day)."""

    name = "caf"
    honest = (
        "A fake CAF for the demo and the tests: invented people (NIRs of birthplace 99 999), whose rights open, are "
        "suspended and end by a seed. It writes the files that CNAF would, in their real shape; it computes no right."
    )

    def __init__(
        self,
        state: Path,
        *,
        drop: Path,
        start: date = date(2026, 2, 28),
        population: int = 20,
        happenings: int = 2,
        numorg: str = "761",
        **more: Any,
    ) -> None:
        self.drop, self.start, self.happenings, self.numorg = drop, start, happenings, numorg
        super().__init__(state, **more)
        if not self.log.entries:
            for number in range(population):
                self.claim(start - timedelta(days=200 + number), adults=1 + number % 2)

    def reset(self) -> None:
        self.homes: dict[str, Home] = {}
        self.last: date | None = None
        self.last_month: date | None = None

    def fold(self, effect: Mapping[str, Any]) -> None:
        on = date.fromisoformat(effect["on"])
        if effect["effect"] == "sent":
            self._sent(on, effect["monthly"])
            return
        if effect["effect"] == "claimed":
            home = Home(**{**effect["home"], "claim_on": on, "moved_on": on, "entered_on": on})
            self.homes[home.matricule] = home
            home.fg = [("MUT" if home.came_from else "DEMRSA", on), ("ENTDED", on)]
            return
        home = self.homes[effect["matricule"]]
        home.touched = True
        home.fg.append((effect["fg"], on))
        for name, value in effect["now"].items():
            setattr(home, name, value)
        if "state" in effect["now"]:
            home.since = on
        if "address" in effect["now"]:
            home.moved_on = on

    def _sent(self, on: date, monthly: bool) -> None:
        self.last = on
        for home in self.homes.values():
            home.touched = False
            if monthly:
                home.fg = []
                home.settled = home.state == "5"
        if monthly:
            self.last_month = on

    # ---------------------------------------------------------------- what happens

    def claim(self, on: date, adults: int = 1, came_from: str | None = None) -> str:
        """A household's right opens; gives its matricule."""
        number = len(self.homes) + 1
        draw = random.Random(f"{self.seed}:{number}")
        people = [self._person(draw, number, place) for place in range(adults)]
        address = [str(draw.randint(1, 99)), draw.choice(_STREETS), *draw.choice(_TOWNS)]
        home = {
            "matricule": f"{number:07d}",
            "claim": f"{7_000_000 + number:011d}",
            "people": people,
            "address": address,
            "came_from": came_from,
        }
        self.apply("claimed", on=on.isoformat(), home=home)
        return home["matricule"]

    def suspend(self, matricule: str, on: date, reason: str = "06") -> None:
        """The payment is suspended, e.g. 06 = declaration missing, CG = by the département."""
        self._happen(matricule, on, "SUS", state="4", reason=reason)

    def resume(self, matricule: str, on: date) -> None:
        """The right is paid again."""
        self._happen(matricule, on, "REA", state="2", reason=None)

    def close(self, matricule: str, on: date, reason: str = "RFD") -> None:
        """The right ends."""
        self._happen(matricule, on, "RAD", state="5", reason=reason)

    def move(self, matricule: str, on: date) -> None:
        """The household has a new address in the same département."""
        draw = random.Random(f"{self.seed}:{matricule}:{on}")
        address = [str(draw.randint(100, 199)), draw.choice(_STREETS), *draw.choice(_TOWNS)]
        self._happen(matricule, on, "ADR", address=address)

    def leave(self, matricule: str, on: date, numorg: str = "271") -> None:
        """The file moves to another département's CAF."""
        self._happen(matricule, on, "MUT", state="5", reason="MUT", left_for=numorg)

    def _happen(self, matricule: str, on: date, fg: str, **now: Any) -> None:
        self.apply("happened", matricule=matricule, on=on.isoformat(), fg=fg, now=now)

    def _person(self, draw: random.Random, number: int, place: int) -> dict[str, str]:
        sex = draw.choice("12")
        born = date(draw.randint(1962, 2004), draw.randint(1, 12), draw.randint(1, 28))
        order = (2 * number + place) % 1000
        name = draw.choice(_NAMES)
        return {
            "role": ("DEM", "CJT")[place],
            "sex": sex,
            "name": name,
            "first_name": draw.choice(_FIRST[sex]),
            "born": born.isoformat(),
            "nir": f"{sex}{born:%y%m}99999{order:03d}",
        }

    # ---------------------------------------------------------------- files

    def tick(self) -> int:
        """The next day: things happen, then one file; gives the number of files (1)."""
        if self.last is None:
            self.month(self.start)
            return 1
        today = self.last + timedelta(days=1)
        draw = random.Random(f"{self.seed}:day:{today}")
        living = [m for m, home in self.homes.items() if home.state != "5"]
        for matricule in draw.sample(living, min(self.happenings, len(living))):
            getattr(self, draw.choice(_HAPPENINGS))(matricule, today)
        if today.day % 2:
            self.claim(today, adults=draw.choice((1, 1, 2)), came_from=draw.choice((None, None, "591")))
        end_of_month = (today + timedelta(days=1)).day == 1
        self.month(today) if end_of_month else self.day(today)
        return 1

    def day(self, on: date) -> Path:
        """Write the daily file of a day: the households that something happened to since the last file."""
        return self._write(on, "I", [home for home in self.homes.values() if home.touched])

    def month(self, on: date) -> Path:
        """Write the monthly file: every household but those whose end an earlier monthly told."""
        return self._write(on, "M", [home for home in self.homes.values() if not home.settled])

    def _write(self, on: date, flux: str, homes: Iterable[Home]) -> Path:
        blocks = [self._block(home) for home in homes]
        text = _FILE.format(
            flux=flux, created=on + timedelta(days=1), dtref=on, count=len(blocks), blocks="".join(blocks)
        )
        self.drop.mkdir(parents=True, exist_ok=True)
        path = self.drop / f"CG076.RSABE{flux}.{on:%Y%m%d}.xml"
        writing = path.with_name(f".{path.name}")
        writing.write_bytes(text.encode("cp1252"))
        os.replace(writing, path)
        self.apply("sent", on=on.isoformat(), monthly=flux == "M", name=path.name)
        return path

    def _block(self, home: Home) -> str:
        number, street, insee, postal, town = map(escape, home.address)
        part, code, day = _PARTS.get(home.state, ("", "", ""))
        reason = f"<{part}><{code}>{home.reason}</{code}><{day}>{home.since}</{day}></{part}>" if part else ""
        new = self.last_month is not None and home.entered_on > self.last_month
        return _HOUSEHOLD.format(
            home=home,
            numorg=self.numorg,
            transfers=_transfers(home),
            people="".join(
                _PERSON.format(**_escaped(person), new="1" if new else "0") for person in home.people
            ),
            number=number,
            street=street,
            insee=insee,
            postal=postal,
            town=town,
            reason=reason,
            events="".join(_EVENT.format(fg=fg, on=on) for fg, on in home.fg),
        )


def _transfers(home: Home) -> str:
    came = _CAME.format(numorg=home.came_from, on=home.claim_on) if home.came_from else ""
    return came + (_LEFT.format(numorg=home.left_for, on=home.since) if home.left_for else "")


def _escaped(person: Mapping[str, str]) -> dict[str, str]:
    return {name: escape(value) for name, value in person.items()}


_FILE = """<?xml version="1.0" encoding="windows-1252"?>
<Racine>
  <IdentificationFlux><APPLIEME>CRI</APPLIEME><NUMVERSIONAPPLIEME>6200</NUMVERSIONAPPLIEME><TYPEFLUX>{flux}</TYPEFLUX>\
<NATFLUX>D</NATFLUX><DTCREAFLUX>{created}</DTCREAFLUX><HEUCREAFLUX>01:18:36.0000</HEUCREAFLUX><DTREF>{dtref}</DTREF></IdentificationFlux>
{blocks}  <TransmissionFlux><NBTOTDOSRSATRANSM>{count:08d}</NBTOTDOSRSATRANSM><NBTOTDOSRSATRANSMANO>00000000</NBTOTDOSRSATRANSMANO></TransmissionFlux>
</Racine>
"""
_HOUSEHOLD = """  <InfosFoyerRSA>
    <IdentificationRSA><Organisme><FONORG>CAF</FONORG><NUMORG>{numorg}</NUMORG><MATRICULE>{home.matricule}00000000</MATRICULE></Organisme>\
<Partenaire><TYPEPARTE>CG  </TYPEPARTE><IDEPARTE>076</IDEPARTE></Partenaire><DemandeRSA><DTDEMRSA>{home.claim_on}</DTDEMRSA>\
<NUMDEMRSA>{home.claim}</NUMDEMRSA></DemandeRSA>{transfers}</IdentificationRSA>
{people}    <DonneesAdministratives><SituationFamille><SITFAM>CEL</SITFAM><DDSITFAM>2015-06-20</DDSITFAM></SituationFamille><Adresse>\
<TroncCommunAdresse><RGADR>01</RGADR><DTEMM>{home.moved_on}</DTEMM><PAYS>FRA</PAYS><TYPEADR>D</TYPEADR><ETATADR>CO</ETATADR></TroncCommunAdresse>\
<AdresseDetailleeFrance><COMPLIDEADR /><COMPLADR /><NUMVOIE>{number}</NUMVOIE><LIBTYPEVOIE>RUE</LIBTYPEVOIE><NOMVOIE>{street}</NOMVOIE><LIEUDIST />\
<NUMCOM>{insee}</NUMCOM><CODEPOS>{postal}</CODEPOS><NOMCOM>{town}</NOMCOM></AdresseDetailleeFrance></Adresse></DonneesAdministratives>
    <PrestationRSA><SituationDossierRSA><EtatDossierRSA><ETATDOSRSA>{home.state}</ETATDOSRSA></EtatDossierRSA>{reason}</SituationDossierRSA>\
<DetailDroitRSA><TroncCommunDroitRSA><TOPSANSDOMFIXE>0</TOPSANSDOMFIXE><ORIDEMRSA>DEM</ORIDEMRSA></TroncCommunDroitRSA></DetailDroitRSA></PrestationRSA>
{events}  </InfosFoyerRSA>
"""
_PERSON = """    <Personne><Identification><NOM>{name}</NOM><NOMNAI>{name}</NOMNAI><PRENOM>{first_name}</PRENOM><NOMCOMNAI>PAYS FICTIF</NOMCOMNAI>\
<DTNAI>{born}</DTNAI><TYPEDTNAI>N</TYPEDTNAI><NIR>{nir}</NIR><SEXE>{sex}</SEXE></Identification><DossierCAF><TOPRESPDOS>1</TOPRESPDOS></DossierCAF>\
<Prestations><NATPREST>PFA</NATPREST><ROLEPERS>{role}</ROLEPERS><TOPCHAPERS>0</TOPCHAPERS></Prestations><Prestations><NATPREST>RSA</NATPREST>\
<ROLEPERS>{role}</ROLEPERS><TOPCHAPERS>0</TOPCHAPERS></Prestations><CalculDroitRSAPersonne><TOPPERSDRODEVORSA>1</TOPPERSDRODEVORSA>\
<TOPPERSENTDRODEVORSA>{new}</TOPPERSENTDRODEVORSA></CalculDroitRSAPersonne></Personne>
"""
_EVENT = "    <Evenement><DTLIQ>{on}</DTLIQ><HEULIQ>21:02:11.0000</HEULIQ><FG>{fg}</FG></Evenement>\n"
_CAME = "<OrganismeCedant><FONORGCEDMUT>CAF</FONORGCEDMUT><NUMORGCEDMUT>{numorg}</NUMORGCEDMUT><DDARRMUT>{on}</DDARRMUT></OrganismeCedant>"
_LEFT = "<OrganismePrenant><FONORGPRENMUT>CAF</FONORGPRENMUT><NUMORGPRENMUT>{numorg}</NUMORGPRENMUT><DDDEPAMUT>{on}</DDDEPAMUT></OrganismePrenant>"


def _make(arguments: argparse.Namespace) -> CafTwin:
    return CafTwin(
        arguments.state, drop=arguments.drop, population=arguments.population, seed=arguments.seed, start=arguments.start,
        numorg=arguments.numorg,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=CafTwin.honest)
    parser.add_argument("--drop", type=Path, required=True, help="folder where its files land")
    parser.add_argument("--population", type=int, default=20, help="households at the beginning")
    parser.add_argument("--start", type=date.fromisoformat, default=date(2026, 2, 28), help="month 1 ends")
    parser.add_argument("--numorg", default="761", help="NUMORG of this CAF")
    return parser


if __name__ == "__main__":
    main(_make, _parser())
