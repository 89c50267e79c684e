"""Invented CNAF beneficiaries files of any size, month after month, and beside each file the truth about it.

Written from the list of CNAF's elements, importing nothing of the connector that reads such files: a reader is tried
against what this module *meant*, not against what it wrote twice. People are invented: NIRs have birthplace 99 999.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import BinaryIO

SURNAMES = (
    "LEFÈVRE", "GARÇON", "NOËL", "BŒUF", "D'ARC", "LE GOFF", "MARTIN-DUPRÉ", "ÉVRARD", "PETIT", "MOREAU", "ROUX",
    "FAURE", "BLANC", "GUÉRIN", "HENRY", "CLÉMENT", "MASSON", "NGUYEN", "DA SILVA", "O'BRIEN",
)  # fmt: skip
FIRST_NAMES = {
    "1": ("JOËL", "PAUL", "RENÉ", "JEAN-MARC", "KARIM", "LOÏC", "YANN", "FRANÇOIS", "HUGO", "MALO"),
    "2": ("ANNE-SOPHIE", "ZOÉ", "MARIE", "FATOU", "LÉA", "CŒLIA", "INÈS", "AGNÈS", "ROSE", "ÉLISE"),
}
STREETS = ("DES BOUCLES", "DU PORT", "DE L'ÉGLISE", "VICTOR HUGO", "DU 8 MAI 1945")
TOWNS = (("76540", "76000", "ROUEN"), ("76351", "76600", "LE HAVRE"), ("76217", "76200", "DIEPPE"))
KEEPS_RIGHTS = {"01", "05", "06", "35", "36", "44", "70", "CG"}
STATE_WORDS = {"0": "PENDING", "1": "REFUSED", "2": "OPEN", "3": "OPEN_SUSPENDED", "4": "PAYMENT_SUSPENDED"}
STATE_WORDS |= {"5": "CLOSED", "6": "CLOSED"}


@dataclass(slots=True)
class Person:
    """One person of a family. `top` and `entered` are TOPPERSDRODEVORSA and TOPPERSENTDRODEVORSA as written, None = not
    there."""

    number: int
    role: str
    sex: str
    birth_name: str
    name: str
    first_name: str
    born: date
    nir: str | None
    top: str | None = "1"
    entered: str | None = None
    preceding: str | None = None
    new_wrapper: bool = False
    benefits_turned: bool = False
    born_kind: str = "N"


@dataclass(slots=True)
class Family:
    """One `<InfosFoyerRSA>` to be. `raw` changes the finished text; `rejected` is the field for which the whole household
    cannot be taken ("" = the block itself); `copies` how often it stands in the file."""

    shape: str
    fonorg: str
    numorg: str
    matricule: str
    claim: str
    claim_on: date
    people: list[Person]
    state: str = "2"
    reasons: list[tuple[str, date]] = field(default_factory=list)
    events: list[tuple[str, date]] = field(default_factory=list)
    address: tuple[str, str, str, str, str] | None = ("12", "DES BOUCLES", "76540", "76000", "ROUEN")
    moved_on: date | None = date(2024, 9, 1)
    arrived: tuple[str, str, date] | None = None
    left: tuple[str, str, date] | None = None
    sensitive: bool = False
    matricule_text: str | None = None
    raw: Callable[[str], str] | None = None
    rejected: str | None = None
    copies: int = 1

    @property
    def adults(self) -> list[Person]:
        return [person for person in self.people if person.role in ("DEM", "CJT")]


@dataclass(slots=True)
class Truth:
    """What a reader must find. `items` are (line, household, record, rules), rules sorted; `rejects` household → field."""

    households: int = 0
    adults: int = 0
    items: list[tuple[int, int, str, tuple[str, ...]]] = field(default_factory=list)
    rejects: dict[int, str | None] = field(default_factory=dict)
    stock: int = 0

    @property
    def events(self) -> Counter[str]:
        return Counter(record for _, _, record, _ in self.items)


@dataclass(slots=True)
class Paper:
    """How a file is written down: real bytes, declared encoding, line ends (`newline` "" = all on one line)."""

    encoding: str = "cp1252"
    declared: str | None = "windows-1252"
    newline: str = "\n"
    indent: str = "  "
    bom: bool = False
    prefix: str = ""
    trailer_off_by: int = 0
    trailer: bool = True
    closed: bool = True
    comments: bool = False


# ---------------------------------------------------------------- writing


def _tag(name: str, value: str | None) -> str:
    if value is None:
        return ""
    escaped = value.replace("&", "&amp;").replace("<", "&lt;")
    return f"<{name}>{escaped}</{name}>" if value else f"<{name} />"


def _group(name: str, *parts: str) -> str:
    return f"<{name}>{''.join(parts)}</{name}>"


def _flux(name: str, organism: tuple[str, str, date] | None) -> str:
    if organism is None:
        return ""
    short, day = {"OrganismeCedant": ("CED", "DDARRMUT"), "OrganismePrenant": ("PREN", "DDDEPAMUT")}[name]
    fonorg, numorg, on = organism
    return _group(
        name, _tag(f"FONORG{short}MUT", fonorg), _tag(f"NUMORG{short}MUT", numorg), _tag(day, on.isoformat())
    )


def _person(person: Person, sensitive: bool) -> str:
    benefits = [
        _group(
            "Prestations", _tag("NATPREST", "PFA"), _tag("ROLEPERS", person.role), _tag("TOPCHAPERS", "0")
        ),
        _group(
            "Prestations", _tag("NATPREST", "RSA"), _tag("ROLEPERS", person.role), _tag("TOPCHAPERS", "0")
        ),
    ]
    wrapper = "CalculDroitRSAPersonne" if person.new_wrapper else "MontantCalculDroitRSAPersonne"
    since = _tag("DDSOUDRODEV", "2026-03-01") if person.new_wrapper else ""
    rights = _tag("TOPPERSDRODEVORSA", person.top) + _tag("TOPPERSENTDRODEVORSA", person.entered) + since
    return _group(
        "Personne",
        _group(
            "Identification",
            _tag("QUAL", "MR" if person.sex == "1" else "MME"),
            _tag("NOM", person.name),
            _tag("NOMNAI", person.birth_name),
            _tag("PRENOM", person.first_name),
            _tag("NOMCOMNAI", "PAYS FICTIF"),
            _tag("DTNAI", person.born.isoformat()),
            _tag("TYPEDTNAI", person.born_kind),
            _tag("NIR", person.nir),
            _tag("SEXE", person.sex),
        ),
        _group(
            "DossierCAF",
            _tag("TOPRESPDOS", "1"),
            _tag("DDRATDOS", "2026-02-01"),
            _tag("NUMDEMRSAPRECE", person.preceding),
        ),
        *(reversed(benefits) if person.benefits_turned else benefits),
        _SENSITIVE if sensitive else "",
        _group(wrapper, rights) if rights else "",
        _group("Activite", _tag("ACT", "CHO"), _tag("DDACT", "2026-01-15")),
        _group("Grossesse", _tag("DDGRO", "2026-01-01"), _tag("DTDECLGRO", "2026-02-01"))
        if sensitive
        else "",
    )


_SENSITIVE = _group(
    "Ressources",
    _group("GeneraliteRessourcesTrimestre", _tag("TOPRESSNUL", "0"), _tag("DDRESS", "2025-12-01")),
    _group(
        "RessourcesMensuelles",
        _group("DetailRessourcesMensuelles", _tag("NATRESS", "021"), _tag("MTNATRESSMEN", "000777.77")),
    ),
)


def _address(family: Family) -> str:
    if family.address is None:
        return ""
    number, street, insee, postal, town = family.address
    moved = _tag("DTEMM", family.moved_on.isoformat() if family.moved_on else None)
    current = _group(
        "Adresse",
        _group(
            "TroncCommunAdresse",
            _tag("RGADR", "01"),
            moved,
            _tag("PAYS", "FRA"),
            _tag("TYPEADR", "D"),
            _tag("ETATADR", "CO"),
        ),
        _group(
            "AdresseDetailleeFrance",
            _tag("COMPLIDEADR", ""),
            _tag("COMPLADR", "BÂT. B"),
            _tag("NUMVOIE", number),
            _tag("LIBTYPEVOIE", "RUE"),
            _tag("NOMVOIE", street),
            _tag("LIEUDIST", ""),
            _tag("NUMCOM", insee),
            _tag("CODEPOS", postal),
            _tag("NOMCOM", town),
        ),
    )
    former = current.replace("<RGADR>01<", "<RGADR>02<").replace(f">{street}<", ">D'AVANT<")
    return former + current


def _situation(family: Family) -> str:
    name, code, day = {
        "1": ("Refus", "MOTIREFURSA", "DTREFURSA"),
        "3": ("SuspensionDroit", "MOTISUSDRORSA", "DDSUSDRORSA"),
        "4": ("SuspensionVersement", "MOTISUSVERSRSA", "DDSUSVERSRSA"),
        "5": ("FinDroit", "MOTICLORSA", "DTCLORSA"),
        "6": ("FinDroitMoisAnterieur", "MOTICLORSA", "DTCLORSA"),
    }.get(family.state, ("", "", ""))
    reasons = [
        _group(name, _tag(code, reason), _tag(day, on.isoformat())) for reason, on in family.reasons if name
    ]
    return _group("SituationDossierRSA", _group("EtatDossierRSA", _tag("ETATDOSRSA", family.state)), *reasons)


def family_text(family: Family) -> str:
    """The block, elements in the order of CNAF's list, without line breaks."""
    matricule = family.matricule_text or family.matricule + "00000000"
    text = _group(
        "InfosFoyerRSA",
        _group(
            "IdentificationRSA",
            _group(
                "Organisme",
                _tag("FONORG", family.fonorg),
                _tag("NUMORG", family.numorg),
                _tag("MATRICULE", matricule),
            ),
            _group("Partenaire", _tag("TYPEPARTE", "CG  "), _tag("IDEPARTE", "076")),
            _group(
                "DemandeRSA", _tag("DTDEMRSA", family.claim_on.isoformat()), _tag("NUMDEMRSA", family.claim)
            ),
            _flux("OrganismeCedant", family.arrived),
            _flux("OrganismePrenant", family.left),
        ),
        *(_person(person, family.sensitive) for person in family.people),
        _group(
            "DonneesAdministratives",
            _group("SituationFamille", _tag("SITFAM", "CEL"), _tag("DDSITFAM", "2015-06-20")),
            _address(family),
        ),
        _group(
            "PrestationRSA",
            _situation(family),
            _group(
                "DetailDroitRSA",
                _group("TroncCommunDroitRSA", _tag("TOPSANSDOMFIXE", "0"), _tag("ORIDEMRSA", "DEM")),
            ),
        ),
        *(
            _group(
                "Evenement", _tag("DTLIQ", on.isoformat()), _tag("HEULIQ", "21:02:11.0000"), _tag("FG", fg)
            )
            for fg, on in family.events
        ),
    )
    return family.raw(text) if family.raw else text


def write_file(
    out: BinaryIO,
    families: Iterator[Family] | list[Family],
    flux: str,
    dtref: date,
    paper: Paper | None = None,
) -> list[tuple[int, Family]]:
    """Write one file as a stream; gives (line of the start tag, family) for each block that was written."""
    paper = paper or Paper()
    newline, prefix = paper.newline, paper.prefix
    line, written = 1, []

    def put(text: str) -> None:
        nonlocal line
        if prefix:
            text = re.sub(r"<(/?)(?=[A-Za-z])", rf"<\1{prefix}:", text)
        out.write((paper.indent + text + newline).encode(paper.encoding))
        line += text.count("\n") + newline.count("\n")

    if paper.bom:
        out.write(b"\xef\xbb\xbf")
    if paper.declared:
        out.write(f'<?xml version="1.0" encoding="{paper.declared}"?>{newline}'.encode())
        line += newline.count("\n")
    if paper.comments:
        out.write(
            f"<!-- <InfosFoyerRSA> ceci n'est pas un foyer </InfosFoyerRSA> -->{newline}".encode(
                paper.encoding
            )
        )
        line += newline.count("\n")
    root = f'{prefix}:Racine xmlns:{prefix}="urn:fictif"' if prefix else "Racine"
    out.write(f"<{root}>{newline}".encode())
    line += newline.count("\n")
    created = dtref + timedelta(days=1)
    put(
        _group(
            "IdentificationFlux",
            _tag("APPLIEME", "CRI"),
            _tag("NUMVERSIONAPPLIEME", "6200"),
            _tag("TYPEFLUX", flux),
            _tag("NATFLUX", "D"),
            _tag("DTCREAFLUX", created.isoformat()),
            _tag("HEUCREAFLUX", "01:18:36.0000"),
            _tag("DTREF", dtref.isoformat()),
        )
    )
    for family in families:
        for _ in range(family.copies):
            written.append((line, family))
            put(family_text(family))
    if paper.trailer:
        total = f"{len(written) + paper.trailer_off_by:08d}"
        put(
            _group(
                "TransmissionFlux", _tag("NBTOTDOSRSATRANSM", total), _tag("NBTOTDOSRSATRANSMANO", "00000000")
            )
        )
    if paper.closed:
        out.write(f"</{root.split()[0]}>{newline}".encode())
    return written


# ---------------------------------------------------------------- the truth


@dataclass(slots=True)
class _Known:
    """What has been told of one person of one payer."""

    state: str
    open: bool
    emitted: bool
    claim: str
    told: tuple[object, ...]
    civil: tuple[object, ...]
    arrived: object = None
    left: object = None


class Oracle:
    """A plain statement of who is an entrant and what changed, over families instead of files."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._baselines: dict[tuple[str, str], date] = {}
        self._last: dict[tuple[str, str, str], date] = {}

    def read(self, flux: str, dtref: date, written: list[tuple[int, Family]]) -> Truth:
        """The truth about one file; it is remembered for the next one."""
        truth = Truth(households=len(written))
        seen: set[int] = set()
        payers = dict.fromkeys((f.fonorg, f.numorg) for _, f in written if f.rejected is None)
        for number, (line, family) in enumerate(written, 1):
            if family.rejected is not None:
                truth.rejects[number] = family.rejected or None
                continue
            for person in family.adults:
                truth.adults += person.number not in seen
                seen.add(person.number)
                for record, rules in self._person(flux, dtref, family, person, truth):
                    truth.items.append((line, number, record, tuple(sorted(rules))))
        for payer in payers:
            self._last[(*payer, flux)] = dtref
            if flux == "M":
                self._baselines.setdefault(payer, dtref)
        return truth

    def _person(
        self, flux: str, dtref: date, family: Family, person: Person, truth: Truth
    ) -> Iterator[tuple[str, list[str]]]:
        payer = (family.fonorg, family.numorg)
        known = self._known.get(person.number)
        rights = has_rights(family, person)
        witnesses = self._witnesses(flux, dtref, family, person)
        open_before = (
            known is not None and known.open and (known.claim == family.claim or bool(person.preceding))
        )
        if known is not None and open_before:
            yield from self._changes(family, person, known, rights, witnesses)
            return
        if not rights:
            if known is not None:
                if known.open and known.state != STATE_WORDS[family.state]:
                    yield "RsaEntitlementChanged", []
                known.state, known.open, known.claim = STATE_WORDS[family.state], False, family.claim
            return
        first_file = self._baselines.get(payer) in (None, dtref)
        rules = witnesses if first_file else [*witnesses, "DIFF"]
        if not rules and flux != "M":
            return
        state, arrived, left = STATE_WORDS[family.state], family.arrived, family.left
        before = (known.arrived, known.left) if known else (None, None)
        self._known[person.number] = _Known(
            state,
            True,
            bool(rules),
            family.claim,
            _told(family),
            _civil(person),
            arrived or before[0],
            left or before[1],
        )
        if not rules:
            truth.stock += 1
            return
        if arrived and arrived != before[0]:
            yield "DepartmentTransferred", []
        yield "NewRsaEntrant", rules
        if left and left != before[1]:
            yield "DepartmentTransferred", []

    def _changes(
        self, family: Family, person: Person, known: _Known, rights: bool, witnesses: list[str]
    ) -> Iterator[tuple[str, list[str]]]:
        if family.arrived and family.arrived != known.arrived:
            yield "DepartmentTransferred", []
        if witnesses and rights and not known.emitted:
            known.emitted = True
            yield "NewRsaEntrant", witnesses
        if _told(family) != known.told:
            yield "ContactChanged", []
        if _civil(person) != known.civil:
            yield "PersonCorrected", []
        if STATE_WORDS[family.state] != known.state:
            yield "RsaEntitlementChanged", []
        if family.left and family.left != known.left:
            yield "DepartmentTransferred", []
        known.state, known.claim = STATE_WORDS[family.state], family.claim
        known.told, known.civil = _told(family), _civil(person)
        known.arrived, known.left = family.arrived or known.arrived, family.left or known.left
        known.open = family.state in "0234"

    def _witnesses(self, flux: str, dtref: date, family: Family, person: Person) -> list[str]:
        last = self._last.get((family.fonorg, family.numorg, flux))
        if last is None and flux == "I":
            last = self._last.get((family.fonorg, family.numorg, "M"))
        days = [on for fg, on in family.events if fg == "ENTDED"]
        if last is None or last == dtref:
            in_period = any(on.strftime("%Y-%m") == dtref.strftime("%Y-%m") for on in days)
        else:
            in_period = any(on > last for on in days)
        rules = ["TOP"] if person.entered == "1" else []
        return [*rules, "FG"] if in_period and person.entered != "0" else rules


def has_rights(family: Family, person: Person) -> bool:
    """TOPPERSDRODEVORSA = 1 and state 2 or 3, or state 4 for reasons that keep the rights."""
    if person.top != "1":
        return False
    if family.state == "4":
        return bool(family.reasons) and all(reason in KEEPS_RIGHTS for reason, _ in family.reasons)
    return family.state in "23"


def _told(family: Family) -> tuple[object, ...]:
    return (family.address,)


def _civil(person: Person) -> tuple[object, ...]:
    return (person.birth_name, person.name, person.first_name, person.born, person.sex)


# ---------------------------------------------------------------- people and shapes


class Population:
    """Invented people, each with a number of their own."""

    def __init__(self, seed: int, numorg: str = "761") -> None:
        self.random = random.Random(seed)
        self.numorg = numorg
        self._people, self._families = 0, 0
        self._orders: Counter[str] = Counter()

    def person(self, role: str = "DEM", **changes: object) -> Person:
        """One person; adults are 18 to 64 years old."""
        self._people += 1
        choose = self.random
        sex = choose.choice("12")
        years = choose.randint(18, 64) if role in ("DEM", "CJT") else choose.randint(0, 17)
        born = date(2025 - years, choose.randint(1, 12), choose.randint(1, 28))
        surname = choose.choice(SURNAMES)
        person = Person(
            self._people,
            role,
            sex,
            surname,
            surname,
            choose.choice(FIRST_NAMES[sex]),
            born,
            self.nir(sex, born),
        )
        for name, value in changes.items():
            setattr(person, name, value)
        return person

    def nir(self, sex: str, born: date, birthplace: str = "99999", key: bool = False) -> str:
        """A NIR of nobody: 13 digits, with `key` 15."""
        stem = f"{sex}{born:%y%m}{birthplace}"
        self._orders[stem] += 1
        thirteen = f"{stem}{self._orders[stem]:03d}"
        number = int(thirteen.replace("2A", "19").replace("2B", "18"))
        return f"{thirteen}{97 - number % 97:02d}" if key else thirteen

    def family(self, shape: str = "plain", *people: Person, **changes: object) -> Family:
        """One household under this population's payer, one DEM unless people are given."""
        self._families += 1
        number = self._families
        family = Family(
            shape,
            "CAF",
            self.numorg,
            f"{number:07d}",
            f"{number + 1_000_000:011d}",
            date(2025, 11, 3) + timedelta(days=self.random.randint(0, 60)),
            list(people) or [self.person()],
        )
        town = self.random.choice(TOWNS)
        family.address = (str(self.random.randint(1, 99)), self.random.choice(STREETS), *town)
        for name, value in changes.items():
            setattr(family, name, value)
        return family
