"""WebRSA's own files as the twin writes them: referential, WebRSA-ALI export, POS_W. Invented content, real names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from connectors.departement.formats.pos_w import COLUMNS

PARIS = ZoneInfo("Europe/Paris")
FREE_TEXT = "Texte libre qui ne doit pas sortir"
_TYPES = (
    ("1", "Emploi", ""),
    ("2", "Socio-professionnelle", ""),
    ("3", "Sociale", ""),
    ("31", "Sociale - insertion", "3"),
)
_LISTS = {
    "etatdos": ("2", "Droit ouvert et versable"),
    "rolepers": ("DEM", "Demandeur"),
    "sitfam": ("CEL", "Célibataire"),
    "orient_origine": ("manuelle", "Manuelle"),
}


def referent_of(structure: str) -> str:
    """Each structure has one référent, under a number of its own."""
    return str(700 + int(structure))


def referential(structures: Sequence[tuple[str, str, str]]) -> bytes:
    """The code lists with every id that the exports use."""
    root = etree.Element("Referentiel_WebRSA")
    _fill(
        _sub(root, "entete"),
        date_generation="2026-01-02 03:00:00",
        id_ali="1",
        libelle_ali="SPIE (exemple)",
        fichier_stock="true",
    )
    types = _sub(root, "liste_typesorients")
    for number, label, parent in _TYPES:
        _fill(
            _sub(types, "typesorients"),
            identifiant=number,
            libelle=label,
            parent_id=parent or None,
            actif="1",
        )
    found = _sub(root, "liste_structuresreferentes")
    for number, _, label in structures:
        _fill(
            _sub(found, "structuresreferentes"), identifiant=number, libelle=label, typeorient_id="1", numvoie="1",
            typevoie="RUE", nomvoie="DES EXEMPLES", codepostal="76000", ville="ROUEN", codeinsee="76540", actif="1",
        )  # fmt: skip
    civilities = _sub(root, "liste_civilite")
    for number, code in (("1", "MR"), ("2", "MME")):
        _fill(_sub(civilities, "civilite"), identifiant=number, code=code, libelle=code, actif="1")
    for name, (code, label) in _LISTS.items():
        _fill(_sub(_sub(root, f"liste_{name}"), name), identifiant="1", code=code, libelle=label, actif="1")
    statuses = _sub(root, "liste_orient_statut")
    for number, code in (("1", "Orienté"), ("2", "En attente"), ("3", "Non orienté")):
        _fill(_sub(statuses, "orient_statut"), identifiant=number, code=code, libelle=code, actif="1")
    referents = _sub(root, "liste_referents")
    for number, _, _ in structures:
        _fill(
            _sub(referents, "referents"), identifiant=referent_of(number), structurereferente_id=number, civilite="MME",
            nom=f"FICTIF {number}", prenom="Camille", email=f"camille.{number}@example.org", fonction="référente",
            numtel="0261910099", actif="1",
        )  # fmt: skip
    return _bytes(root)


def export(people: Iterable[Any], operator: str, moment: datetime, *, whole: bool) -> bytes:
    """A WebRSA-ALI export of these persons (`number, cells, orientations, referents, touched`)."""
    root = etree.Element("WebRSA-ALI")
    _fill(
        _sub(root, "entete"), date_generation=f"{moment:%Y-%m-%d %H:%M:%S}", id_structure_ali=operator,
        libelle_ali="SPIE (exemple)", fichier_stock="true" if whole else "false",
    )  # fmt: skip
    dossiers = _sub(root, "dossiers")
    for person in people:
        _dossier(_sub(dossiers, "dossier"), person)
    return _bytes(root)


def pos_w(rows: Iterable[tuple[Mapping[str, Any], Mapping[str, str]]], on: date) -> bytes:
    """Positionings (fiche, the person's cells). The free text is there to prove that it goes nowhere."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, delimiter=";", lineterminator="\n")
    writer.writeheader()
    for fiche, cells in rows:
        line = dict.fromkeys(COLUMNS, "") | {
            "e_date_extraction": on.isoformat(),
            "identifiant_webrsa": str(fiche["number"]),
            "pos_origine": "WEBRSA",
            "ref_identifiant": referent_of(fiche["structure"]) if fiche["structure"] else "",
            "structref_id": fiche["structure"],
            "motif_pos": FREE_TEXT,
            "beneficiaire_identifiant": str(fiche["person"]),
            "beneficiaire_numero_caf": cells.get("Numéro allocataire CAF/MSA", ""),
            "beneficiaire_nom": cells["Nom"],
            "beneficiaire_prenom": cells["Prénom"],
            "beneficiaire_naissance": _iso(cells["Date de naissance"]),
            "beneficiaire_adresse": cells.get("Adresse", "") + "  ",
            "beneficiaire_code_postal": cells.get("Code postal", ""),
            "beneficiaile_ville": cells.get("Ville", ""),
            "beneficiaire_telephone_mobile": cells.get("Téléphone", "").split(" ")[0],
            "beneficiaire_email": cells.get("Email", ""),
            "action_numero_convention": fiche["convention"],
            "date_transmission": fiche["on"],
            "modalite_transmission": '["Courriel"]',
        }
        writer.writerow(line)
    return out.getvalue().encode()


def _dossier(dossier: etree._Element, person: Any) -> None:
    """Numbers lose their leading zeros, as the real ones do: WebRSA keeps them as integers."""
    cells = person.cells
    _fill(dossier, id_personne=str(person.number))
    _fill(
        _sub(dossier, "allocataire"), nom=cells["Nom"], prenom=cells["Prénom"], nir=cells.get("NIR") or None,
        numero_caf=_integer(cells.get("Numéro allocataire CAF/MSA", "")), date_naissance=_iso(cells["Date de naissance"]),
        nom_voie=cells.get("Adresse") or None, complement_adresse=cells.get("Adresse (complément)") or None,
        code_postal=_integer(cells.get("Code postal", "")), ville=cells.get("Ville") or "INCONNUE",
        date_demande_rsa="2026-01-15", numero_demande_rsa=f"76{person.number:09d}", etat_droit="1",
        soumis_droits_devoirs="1", role_personne="1", nb_enfants_foyer="0", situation_familiale="1",
    )  # fmt: skip
    mandates = _sub(dossier, "referents_parcours")
    for mandate in person.referents:
        _fill(
            _sub(mandates, "referent_parcours"), id_structure_referente=mandate["structure"],
            id_referent=mandate["referent"], date_debut_designation=mandate["on"],
        )  # fmt: skip
    touched = _local(person.touched)
    phones = cells.get("Téléphone", "").split()
    contacts: dict[str, str | None] = {}
    for number, phone in enumerate(phones[:2], 1):
        contacts |= {f"telephone_{number}": phone, f"modif_telephone_{number}": touched}
    if cells.get("Email"):
        contacts |= {"email": cells["Email"], "modif_email": touched}
    _fill(_sub(dossier, "modes_contact"), **contacts)
    orientations = _sub(dossier, "orientations")
    for orientation in person.orientations:
        _fill(
            _sub(orientations, "orientation"), id_orient_webrsa=str(orientation["number"]), date_orient=orientation["on"],
            origine_orient="1", statut_orient="1", type_orient=orientation["type"], rang_orient=str(orientation["rank"]),
            structure_referente=orientation["structure"], tag_entretien_diag="0",
        )  # fmt: skip


def _iso(day: str) -> str:
    """The profile's DD/MM/YYYY as WebRSA writes it."""
    return datetime.strptime(day, "%d/%m/%Y").date().isoformat()


def _integer(digits: str) -> str:
    return str(int(digits)) if digits.isdecimal() else "0"


def _local(moment: str | None) -> str | None:
    return f"{datetime.fromisoformat(moment).astimezone(PARIS):%Y-%m-%d %H:%M:%S}" if moment else None


def _sub(parent: etree._Element, name: str) -> etree._Element:
    return etree.SubElement(parent, name)


def _fill(element: etree._Element, **texts: str | None) -> None:
    for name, value in texts.items():
        if value is not None:
            etree.SubElement(element, name).text = value


def _bytes(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
