"""The virtual territory of the benches: one CAF that reports, and partners that all receive every event by the null transport."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hub.app import App
from hub.rights.agreement import Agreement, defaults
from hub.rights.configuration import Organisation, Partner, Partners
from hub.rights.store import apply_configuration
from hub.rights.territory import Payer, Territory
from hub.sdk.manifest import Connector, load
from hub.settings import Settings

TERRITORY, SENDER = "76", "caf-bench"
_LEFT_OUT = {
    "cd-bench-1": (),
    "cd-bench-2": ("person.phones", "person.email", "person.address"),
    "cd-bench-3": ("person.birth_date", "person.birth_day_known", "person.sex", "groups", "consent"),
    "cd-bench-4": ("person.email", "claim_on", "payer", "role"),
}
RECIPIENTS = tuple(_LEFT_OUT)
"""Systems of organisations of the kind that receives every fact of the CAF; each has an agreement and a view of its own."""


def make_app(settings: Settings) -> App:
    """An App that knows the null connector and no other."""
    app = App(settings)
    connector = null_connector()
    app.__dict__["connectors"] = {connector.name: connector}
    return app


def null_connector() -> Connector:
    """The benches' connector, which `discover` does not find."""
    return load(Path(__file__).with_name("null"), "hub.dev.bench.null")


async def configure(app: App) -> None:
    """Migrate the database and apply the virtual territory."""
    await app.prepare()
    payer = Payer(fonorg="CAF", numorg="761")
    territory = Territory(
        id=TERRITORY, name="Territoire du banc d'essai", main_payer=payer, payers=(payer,), organisms=()
    )
    await apply_configuration(app.database, territory, "bench")
    await apply_configuration(app.database, _partners(), "bench")
    await app.desk_ready()


def _partners() -> Partners:
    connector = null_connector().name
    everybody = {SENDER: "caf"} | dict.fromkeys(RECIPIENTS, "departement")
    return Partners(
        territory=TERRITORY,
        organisations=tuple(
            Organisation(id=f"o-{name}", siret=_siret(n), kind=kind, name=name)
            for n, (name, kind) in enumerate(everybody.items(), 1)
        ),
        partners=tuple(Partner(id=name, organisation=f"o-{name}", connector=connector) for name in everybody),
        agreements=tuple(
            Agreement(
                id=f"a-{name}",
                organisation=f"o-{name}",
                records=tuple(defaults("departement")),
                narrow={
                    record: tuple(path for path in default.fields if path not in left_out)
                    for record, default in defaults("departement").items()
                },
                purpose="Banc d'essai",
                legal_basis="none: invented people only",
                start=date(2025, 1, 1),
                end=date(2099, 12, 31),
                case_number="BANC",
            )
            for name, left_out in _LEFT_OUT.items()
        ),
    )


def _siret(number: int) -> str:
    """A SIRET that passes Luhn, of the invented SIREN 999 999 006."""
    stem = f"999999006{number:04d}"
    digits = [int(d) * (1 if i % 2 else 2) for i, d in enumerate(reversed(stem))]
    return stem + str(-sum(d - 9 if d > 9 else d for d in digits) % 10)
