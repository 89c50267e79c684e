"""A small territory for the tests of rights: one partner of every kind, two structures, invented SIRETs."""

from __future__ import annotations

from datetime import date
from typing import Any

from hub.rights.agreement import KINDS, Agreement, Kind, defaults
from hub.rights.configuration import Configuration, Organisation, Partner
from hub.rights.route import Facts, Relation
from hub.rights.territory import MeasureType, Organism, Payer, Territory
from hub.sdk.manifest import Manifest, Outbound, OutboundRecord

TODAY = date(2026, 4, 15)

#: partner id → kind; every partner is alone in its organisation, named o-<partner>.
PARTNERS: dict[str, Kind] = {
    "caf": "caf",
    "cd": "departement",
    "ft": "france_travail",
    "ml": "mission_locale",
    "s1": "structure",
    "s2": "structure",
    "e1": "employer",
}


def invented_siret(number: int) -> str:
    """A SIRET that passes Luhn under the invented SIREN 999999006."""
    stem = f"999999006{number:04d}"
    return next(stem + str(k) for k in range(10) if _luhn(stem + str(k)))


def _luhn(digits: str) -> bool:
    doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def measure(code: str, sent_to: tuple[Kind, ...], sensitive: bool = False) -> MeasureType:
    return MeasureType(
        code=code,
        label=code,
        valid_from=date(2025, 1, 1),
        public=("rsa",),
        provider_kinds=("structure",),
        sensitive=sensitive,
        may_be_sent_to=sent_to,
        irreversible=False,
        expiry_days=30,
    )


def territory(**changed: Any) -> Territory:
    payer = Payer(fonorg="CAF", numorg="761")
    values: dict[str, Any] = {
        "id": "76",
        "name": "Seine-Maritime",
        "main_payer": payer,
        "payers": (payer, Payer(fonorg="MSA", numorg="760")),
        "organisms": (Organism(code="ML", label="Mission locale", kind="mission_locale"),),
        "measure_types": (
            measure("mobilite", ("departement", "mission_locale", "structure")),
            measure("pmsmp", ("departement", "france_travail", "mission_locale", "structure")),
            measure("ecoute_psychologique", ("structure",), sensitive=True),
        ),
    }
    return Territory(**(values | changed))


def agreement(partner: str, **changed: Any) -> Agreement:
    values: dict[str, Any] = {
        "id": f"a-{partner}",
        "organisation": f"o-{partner}",
        "records": tuple(defaults(PARTNERS[partner])),
        "purpose": "Parcours insertion emploi",
        "legal_basis": "CASF L.263-4-1",
        "article9": "RGPD 9(2)(h)",
        "start": date(2025, 1, 1),
        "end": date(2027, 12, 31),
        "case_number": f"CONV-{partner}",
    }
    return Agreement(**(values | changed))


def configuration(**changed: Any) -> Configuration:
    """`changed`: territory, agreements or partners to replace; by default everybody has an agreement for everything."""
    values: dict[str, Any] = {
        "territory": territory(),
        "organisations": tuple(
            Organisation(id=f"o-{p}", siret=invented_siret(i), kind=kind, name=f"Organisation {p}")
            for i, (p, kind) in enumerate(PARTNERS.items(), 1)
        ),
        "partners": tuple(Partner(id=p, organisation=f"o-{p}", connector="nul") for p in PARTNERS),
        "agreements": tuple(agreement(p) for p in PARTNERS if PARTNERS[p] != "caf"),
    }
    return Configuration(**(values | changed))


def facts(record: str, emitter: str = "hub", **changed: Any) -> Facts:
    values: dict[str, Any] = {
        "territory": "76",
        "record": record,
        "emitter": emitter,
        "emitter_organisation": f"o-{emitter}",
        "accepted_on": TODAY,
        "pilot_area": "Seine-Maritime",
    }
    values |= changed
    values["relations"] = tuple(Relation(*row) for row in values.get("relations", ()))
    return Facts(**values)


def manifest(records: dict[str, list[str]]) -> Manifest:
    """A connector that declares these fields."""
    return Manifest(
        name="nul",
        title="Null",
        version=1,
        contract="available",
        outbound=Outbound(
            transport="null",
            unknown_outcome="key",
            records={
                record: OutboundRecord(fields=fields, purpose="test", legal_basis="test")
                for record, fields in records.items()
            },
        ),
    )


assert set(PARTNERS.values()) == set(KINDS)
