"""CNAF "bénéficiaires" files, RSABEM (monthly) and RSABEI (daily): one `<InfosFoyerRSA>` block into one Household.

What must not enter the hub is not read: Ressources, PensionAlimentaire, Grossesse, InformationsAgricoles, AvisPCG*,
Controle*, MontantsCalcul*, Activite, SituationFamille, Rattachement, DossierPoleEmploi, NOMCOMNAI, children's data.
Structure and lengths: the elements of CNAF's schema vrsb0801.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import date

from connectors.caf.formats.groups import Bad, Group
from hub.sdk.inbound import Address, Notice, Position
from hub.sdk.numbers import NumberError, normalise_matricule, parse_nir

ADULTS = ("DEM", "CJT")
_ROLES = {"DEM", "CJT", "ENF", "AUT", "RDO"}
_PAYERS = {"CAF", "MSA", "OPF"}
_STATES = set("0123456")
_SEXES = {"1": "M", "2": "F"}
_NUMORG = re.compile(r"[0-9A-Z]{1,3}", re.ASCII)
_CLAIM = re.compile(r"[0-9A-Z]{1,11}", re.ASCII)
_POSTAL = re.compile(r"[0-9]{4,5}", re.ASCII)
_INSEE = re.compile(r"(?:[0-9]{2}|2[AB])[0-9]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A move between payers (OrganismeCedant, OrganismePrenant)."""

    fonorg: str
    numorg: str
    on: date


@dataclass(frozen=True, slots=True)
class Adult:
    """A DEM or CJT, with rights or without. `duties` is TOPPERSDRODEVORSA = 1; `entered` TOPPERSENTDRODEVORSA, None
    when absent; `preceding_claim` whether NUMDEMRSAPRECE is there."""

    role: str
    birth_name: str
    name: str
    first_names: tuple[str, ...]
    birth_date: date
    birth_day_known: bool
    sex: str | None
    nir: str | None
    duties: bool
    entered: bool | None
    duties_since: date | None
    preceding_claim: bool

    @property
    def own_key(self) -> tuple[str, str]:
        """What tells this adult from others of the household: the NIR, without one the first name."""
        return ("nir", self.nir) if self.nir else ("first_name", plain(self.first_names[0]))


@dataclass(frozen=True, slots=True)
class Household:
    """What the hub needs of one block. `reasons` are the codes that go with the state (suspensions, refusal or
    closure), `state_on` their latest day; `entered_on` the days of FG = ENTDED. `duplicate` and `known_adults` (own
    keys) tell what the file has shown before."""

    fonorg: str
    numorg: str
    matricule: str
    departement: str | None
    claim: str
    claim_on: date
    state: str
    reasons: tuple[str, ...]
    state_on: date | None
    right_opened_on: date | None
    entered_on: tuple[date, ...]
    last_event_on: date | None
    address: Address | None
    moved_on: date | None
    arrived: Transfer | None
    left: Transfer | None
    adults: tuple[Adult, ...]
    children: int
    others: int
    repeated_adults: int = 0
    position: Position = field(default=Position(0), compare=False)
    warnings: tuple[Notice, ...] = field(default=(), compare=False)
    duplicate: bool = field(default=False, compare=False)
    known_adults: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)

    @property
    def payer(self) -> tuple[str, str]:
        return (self.fonorg, self.numorg)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.fonorg, self.numorg, self.matricule)


class _Notes:
    """Warnings about one household, each with its place."""

    def __init__(self, position: Position) -> None:
        self._where = f"line {position.line}, household {position.ordinal}"
        self.taken: list[Notice] = []

    def add(self, code: str, what: str) -> None:
        self.taken.append(Notice(code, f"{self._where}: {what}"))

    def day(self, group: Group, name: str) -> date | None:
        """A date that the household can do without."""
        try:
            return group.day(name)
        except Bad as bad:
            self.leave_out(bad)
            return None

    def leave_out(self, bad: Bad) -> None:
        self.add("field_left_out", f"{bad.field} ({bad.detail or bad.reason})")


def plain(text: str) -> str:
    """Capitals without accents, hyphens and apostrophes: how first names are compared."""
    bare = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("Œ", "OE"))
    letters = "".join(c if c.isalnum() else " " for c in bare if not unicodedata.combining(c))
    return " ".join(letters.upper().split()) or text


def payer_of(block: Group) -> tuple[tuple[str, str], str | None]:
    """FONORG and NUMORG of a block, and the département it is meant for (IDEPARTE). Raises Bad."""
    identification = block.need_group("IdentificationRSA")
    payer = _organism(identification.need_group("Organisme"), "FONORG", "NUMORG")
    partner = identification.group("Partenaire")
    return payer, partner.text("IDEPARTE") if partner else None


def household_of(block: Group, position: Position, written_on: date) -> Household:
    """One block as a Household. Raises Bad for what no household can do without; the rest is left out with a warning.
    `written_on` is the day of the file: nobody in it was born later."""
    notes = _Notes(position)
    (fonorg, numorg), departement = payer_of(block)
    identification = block.need_group("IdentificationRSA")
    try:
        matricule = normalise_matricule(fonorg, identification.need_group("Organisme").need("MATRICULE"))
    except NumberError as error:
        raise Bad("invalid_field", "MATRICULE", str(error)) from None
    demand = identification.need_group("DemandeRSA")
    claim = demand.need("NUMDEMRSA")
    if not _CLAIM.fullmatch(claim):
        raise Bad("invalid_field", "NUMDEMRSA", "not 1 to 11 digits or capitals")
    claim_on = demand.need_day("DTDEMRSA")
    adults, repeated, children, others = _persons(block, notes)
    if any(adult.birth_date > written_on for adult in adults):
        raise Bad("invalid_field", "DTNAI", "after the day of the file")
    benefit = block.need_group("PrestationRSA")
    state, reasons, state_on = _state(benefit.need_group("SituationDossierRSA"), notes)
    entered_on, last_event_on = _events(block, notes)
    try:
        address, moved_on = _address(block.group("DonneesAdministratives"), notes)
    except Bad as bad:
        notes.leave_out(bad)
        address, moved_on = None, None
    return Household(
        fonorg,
        numorg,
        matricule.value,
        departement,
        claim,
        claim_on,
        state,
        reasons,
        state_on,
        _right_opened_on(benefit, notes),
        entered_on,
        last_event_on,
        address,
        moved_on,
        _transfer(identification.group("OrganismeCedant"), "CED", "DDARRMUT", notes),
        _transfer(identification.group("OrganismePrenant"), "PREN", "DDDEPAMUT", notes),
        adults,
        children,
        others,
        repeated,
        position,
        tuple(notes.taken),
    )


def _organism(group: Group, fonorg_name: str, numorg_name: str) -> tuple[str, str]:
    fonorg, numorg = group.need(fonorg_name), group.need(numorg_name)
    if fonorg not in _PAYERS:
        raise Bad("unknown_code", fonorg_name, "neither CAF, MSA nor OPF")
    if not _NUMORG.fullmatch(numorg):
        raise Bad("invalid_field", numorg_name, "not 3 digits or capitals")
    return fonorg, numorg.zfill(3)


def _transfer(group: Group | None, which: str, day: str, notes: _Notes) -> Transfer | None:
    if group is None:
        return None
    try:
        return Transfer(*_organism(group, f"FONORG{which}MUT", f"NUMORG{which}MUT"), group.need_day(day))
    except Bad as bad:
        notes.leave_out(bad)
        return None


def _persons(block: Group, notes: _Notes) -> tuple[tuple[Adult, ...], int, int, int]:
    persons = block.groups("Personne")
    if not persons:
        raise Bad("missing_field", "Personne")
    adults, children, others = [], 0, 0
    for person in persons:
        role = _role(person)
        if role in ADULTS:
            adults.append(_adult(person, role, notes))
        elif role == "ENF":
            children += 1
        else:
            others += 1
    distinct = _distinct(adults, notes)
    return tuple(distinct), len(adults) - len(distinct), children, others


def _role(person: Group) -> str:
    """ROLEPERS of the RSA; who has none there is no adult of it, unless the family benefits call him one."""
    roles = {}
    for benefit in person.groups("Prestations"):
        role = benefit.text("ROLEPERS")
        if role is not None and role not in _ROLES:
            raise Bad("unknown_code", "ROLEPERS")
        nature = benefit.text("NATPREST")
        if roles.setdefault(nature, role) != role:
            raise Bad("repeated_field", "ROLEPERS", "two roles for one benefit")
    role = roles.get("RSA")
    if role is None and "RSA" not in roles and roles.get("PFA") not in (None, *ADULTS):
        role = roles["PFA"]
    if role is None:
        raise Bad("missing_field", "ROLEPERS")
    return role


def _adult(person: Group, role: str, notes: _Notes) -> Adult:
    civil = person.need_group("Identification")
    rights = person.merged("MontantCalculDroitRSAPersonne", "CalculDroitRSAPersonne")
    file = person.group("DossierCAF")
    sex = civil.text("SEXE")
    if sex not in _SEXES:
        notes.add("field_left_out", f"SEXE of {role} (neither 1 nor 2)")
    names = (civil.need("PRENOM"), civil.text("PRENOM2"), civil.text("PRENOM3"))
    return Adult(
        role,
        civil.need("NOMNAI"),
        civil.need("NOM"),
        tuple(name for name in names if name),
        _birth_date(civil),
        civil.text("TYPEDTNAI") not in ("J", "O"),
        _SEXES.get(sex or ""),
        _nir(civil, role, notes),
        rights.flag("TOPPERSDRODEVORSA") or False,
        rights.flag("TOPPERSENTDRODEVORSA"),
        notes.day(rights, "DDSOUDRODEV"),
        bool(file and file.text("NUMDEMRSAPRECE")),
    )


def _birth_date(civil: Group) -> date:
    day = civil.need_day("DTNAI")
    if day.year < 1890:
        raise Bad("invalid_field", "DTNAI", "before 1890")
    return day


def _nir(civil: Group, role: str, notes: _Notes) -> str | None:
    try:
        text = civil.text("NIR")
        return parse_nir(text).thirteen if text else None
    except NumberError as error:
        notes.add("nir_invalid", f"NIR of {role} left out ({error.reason}: {error})")
    except Bad as bad:
        notes.add("nir_invalid", f"NIR of {role} left out ({bad.reason})")
    return None


def _distinct(adults: list[Adult], notes: _Notes) -> list[Adult]:
    """Two adults of one household never share a key: a NIR on both is nobody's, the same person twice counts once."""
    nirs = [adult.nir for adult in adults if adult.nir]
    shared = {nir for nir in nirs if nirs.count(nir) > 1}
    if shared and len(
        {(a.nir, plain(a.first_names[0]), a.birth_date) for a in adults if a.nir in shared}
    ) > len(shared):
        notes.add("nir_shared", "one NIR on two adults, left out on both")
        adults = [replace(adult, nir=None) if adult.nir in shared else adult for adult in adults]
    distinct: dict[tuple[str, str], Adult] = {}
    for adult in adults:
        first = distinct.setdefault(adult.own_key, adult)
        if first.birth_date != adult.birth_date:
            raise Bad("ambiguous_adults", "PRENOM", "two adults without NIR and with the same first name")
    return list(distinct.values())


def _state(situation: Group, notes: _Notes) -> tuple[str, tuple[str, ...], date | None]:
    state = situation.need_group("EtatDossierRSA").need("ETATDOSRSA")
    if state not in _STATES:
        raise Bad("unknown_code", "ETATDOSRSA")
    parts, code, day = _STATE_PARTS.get(state, ((), "", ""))
    blocks = next((found for part in parts if (found := situation.groups(part))), [])
    reasons = tuple(reason for block in blocks if (reason := block.text(code)))
    days = [found for block in blocks if (found := notes.day(block, day))]
    return state, tuple(r.zfill(2) for r in reasons) if state in "34" else reasons, max(days, default=None)


# state → where its reasons stand (the first part that is there), the field of the reason, the field of its day
_STATE_PARTS = {
    "1": (("Refus",), "MOTIREFURSA", "DTREFURSA"),
    "3": (("SuspensionDroit",), "MOTISUSDRORSA", "DDSUSDRORSA"),
    "4": (("SuspensionVersement",), "MOTISUSVERSRSA", "DDSUSVERSRSA"),
    "5": (("FinDroit", "FinDroitMoisAnterieur"), "MOTICLORSA", "DTCLORSA"),
    "6": (("FinDroitMoisAnterieur", "FinDroit"), "MOTICLORSA", "DTCLORSA"),
}


def _right_opened_on(benefit: Group, notes: _Notes) -> date | None:
    """The first day of the oldest kind of right that the file lists."""
    detail = benefit.group("DetailDroitRSA")
    days = [notes.day(part, "DDNATDRO") for part in detail.groups("DetailCalculDroitRSA")] if detail else []
    return min((day for day in days if day), default=None)


def _events(block: Group, notes: _Notes) -> tuple[tuple[date, ...], date | None]:
    """Days of FG = ENTDED (an unreadable one could hide an entrant: the household is refused), and the last day of any."""
    entered, last = set(), None
    for event in block.groups("Evenement"):
        if event.text("FG") == "ENTDED":
            day = event.need_day("DTLIQ")
            entered.add(day)
        else:
            day = notes.day(event, "DTLIQ")
        last = max(filter(None, (last, day)), default=None)
    return tuple(sorted(entered)), last


def _address(administrative: Group | None, notes: _Notes) -> tuple[Address | None, date | None]:
    """The current address, RGADR 01; 02 and 03 are former ones."""
    for address in administrative.groups("Adresse") if administrative else ():
        common = address.group("TroncCommunAdresse")
        if common is None or (common.text("RGADR") or "").lstrip("0") != "1":
            continue
        abroad = address.group("AdresseHorsFrance")
        if abroad is not None:
            lines = tuple(line for n in range(2, 8) if (line := abroad.text(f"LIBLIG{n}ADR")))
            return Address(lines=lines), notes.day(common, "DTEMM")
        return _address_in_france(address.group("AdresseDetailleeFrance"), notes), notes.day(common, "DTEMM")
    return None, None


def _address_in_france(detail: Group | None, notes: _Notes) -> Address | None:
    if detail is None:
        return None
    street = " ".join(part for name in ("NUMVOIE", "LIBTYPEVOIE", "NOMVOIE") if (part := detail.text(name)))
    lines = (detail.text("COMPLIDEADR"), detail.text("COMPLADR"), street, detail.text("LIEUDIST"))
    postal, insee = detail.text("CODEPOS"), detail.text("NUMCOM")
    if postal is not None and not _POSTAL.fullmatch(postal):
        notes.add("field_left_out", "CODEPOS (not 5 digits)")
        postal = None
    if insee is not None and not _INSEE.fullmatch(insee):
        notes.add("field_left_out", "NUMCOM (not an INSEE code of 5 characters)")
        insee = None
    return Address(
        tuple(line for line in lines if line),
        postal.zfill(5) if postal else None,
        insee,
        detail.text("NOMCOM"),
    )
