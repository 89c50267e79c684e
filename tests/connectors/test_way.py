"""The whole way with the real connectors and their twins: an entrant reaches the département, its decision reaches France
Travail and the mission locale, its request a structure, and the structure's answer the fiche in WebRSA. No Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from connectors.departement.twin import DepartementTwin
from connectors.departement.webrsa_files import FREE_TEXT
from connectors.france_travail.twin import FranceTravailTwin
from connectors.mission_locale.twin import MissionLocaleTwin
from connectors.structure.twin import StructureTwin
from hub.app import App
from hub.delivery.routing import route_records
from hub.delivery.send import Sender
from hub.intake.inbound import Inbox
from hub.intake.results import Accepted, Incoming
from hub.ledger.reconcile import reconcile
from hub.log.scan import Seen
from hub.rights.configuration import Partners
from hub.rights.files import load_partners, load_territory
from hub.rights.store import apply_configuration
from hub.sdk.twin import Running
from hub.settings import Settings
from hub.store.database import move_clock, rows, transaction
from tests.hubs import Clock, entrant, subject

pytestmark = pytest.mark.stack

TERRITORY = Path(__file__).parents[2] / "territories" / "76"
CAF, CD, FT, ML = "p7604", "p7601", "p7602", "p7603"
STRUCTURES = {"CONV-2026-002": "p7611", "CONV-2026-014": "p7612", "CONV-2026-033": "p7614"}


@dataclass
class Way:
    """The hub's parts and the twins. Times pass by the database's virtual clock."""

    app: App
    sender: Sender
    inbox: Inbox
    departement: DepartementTwin
    france_travail: FranceTravailTwin
    mission_locale: MissionLocaleTwin
    structures: StructureTwin

    async def enter(self, *numbers: int) -> None:
        """Report entrants as the CAF does."""
        drafts = [entrant(n, subject=person(n)) for n in numbers]
        results = await self.app.acceptor.accept(CAF, "test", [Incoming(draft) for draft in drafts])
        assert all(isinstance(result, Accepted) for result in results), results

    async def hub(self) -> None:
        """What a running hub does in a quarter of an hour: read, route, deliver; the file windows close."""
        self.inbox._polled.clear()
        await self.inbox.step()
        for _ in range(2):
            await self._route()
            while await self.sender.step() or await self.sql(
                "select 1 from delivery where state = 'sending'"
            ):
                await asyncio.sleep(0.02)
            await move_clock(self.app.database, 900)

    async def _route(self) -> None:
        waiting = await self.sql(
            "select e.id, e.body_hash from event e join event_way w on w.no = e.no where w.routed_at is null order by e.no"
        )
        await route_records(
            self.app.database, self.app.desk, [Seen("t", 0, 0, r.id, bytes(r.body_hash)) for r in waiting]
        )

    async def sql(self, statement: str, **values):
        async with transaction(self.app.database) as connection:
            return await rows(connection, statement, **values)

    async def deliveries(self) -> Counter:
        """(partner, record, state, reason or code) → how many."""
        found = await self.sql("select partner, record, state, coalesce(reason, code) as why from delivery")
        return Counter((r.partner, r.record, r.state, r.why) for r in found)


def person(number: int):
    """An invented person with NIR, contacts and address; odd numbers are under 26."""
    year = 2004 if number % 2 else 1985
    born = date(year, 1 + number % 12, 1 + number % 28)
    return replace(
        subject(number),
        birth_date=born.isoformat(),
        nir=f"2{year % 100:02d}{born.month:02d}99999{number:03d}",
        phones=(f"06399800{number:02d}",),
        email=f"personne{number}@example.org",
    )


def partners(state: Path, urls: dict[str, str]) -> Partners:
    """The territory's example partners, at the twins' addresses."""
    document = load_partners(TERRITORY / "partners.example.toml").model_dump()
    own = {
        CD: {
            "folder": str(state / "cd" / "depot"),
            "archive": str(state / "cd" / "archive"),
            "inbox": str(state / "cd" / "exports"),
            "referential": str(state / "cd" / "exports" / "referentiel.xml"),
        },
        FT: {
            "url": f"{urls['ft']}/partenaire",
            "token_url": f"{urls['ft']}/connexion/oauth2/access_token",
            "client_id": "hub",
            "agent": "HUB-076",
        },
        ML: {"folder": str(state / "ml" / "depot"), "archive": str(state / "ml" / "archive")},
    }
    for partner in document["partners"]:
        own.setdefault(partner["id"], {"url": f"{urls['s']}/s/{partner['id']}"})
        partner["settings"] = {} if partner["connector"] == "caf" else own[partner["id"]]
        partner["secrets"] = dict.fromkeys(partner["secrets"], "env:HUB_TEST_SECRET")
    return Partners.model_validate(document)


@pytest.fixture
async def way(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Way]:
    monkeypatch.setenv("HUB_TEST_SECRET", "secret")
    departement = DepartementTwin(
        tmp_path / "cd", every=None, share=1.0, conventions=list(STRUCTURES), structures=[("3", "CD", "UTAS"), ("5", "ML", "ML")]
    )  # fmt: skip
    mission_locale = MissionLocaleTwin(tmp_path / "ml", every=None)
    with ExitStack() as stack:
        france_travail = FranceTravailTwin(tmp_path, auto=1.0)
        structures = StructureTwin(tmp_path, share=(1.0, 0.0, 0.0), answers=False)
        urls = {
            "ft": stack.enter_context(Running(france_travail)).url,
            "s": stack.enter_context(Running(structures)).url,
        }
        app = App(Settings(home=tmp_path / "hub", database_url=database, kafka=None))
        await app.prepare()
        async with transaction(app.database) as connection:
            await rows(connection, "update clock set virtual = true returning one")
        await apply_configuration(app.database, load_territory(TERRITORY), "test")
        await apply_configuration(app.database, partners(tmp_path, urls), "test")
        await app.desk_ready()
        yield Way(
            app, app.sender(Clock()), Inbox(app.database, app.desk, app.acceptor),
            departement, france_travail, mission_locale, structures,
        )  # fmt: skip
        await app.close()


async def test_entrants_come_all_the_way_and_the_answers_come_back(way: Way):
    people = (1, 2, 3, 4)
    await way.enter(*people)
    await way.hub()
    assert [len(e["lines"]) for e in way.departement.log.entries] == []
    way.departement.tick()
    assert len(way.departement.persons) == len(people)

    await way.hub()
    made = [u.decisions for u in way.france_travail.usagers.values()]
    assert [len(decisions) for decisions in made] == [1] * len(people)
    to_ml = sum(p.orientations[0]["structure"] == "5" for p in way.departement.persons.values())
    way.mission_locale.tick()
    assert sum(line["nature"] == "ORIENTATION" for line in way.mission_locale.lines) == to_ml
    requests = [e for e in way.structures.log.entries if e["effect"] == "requested"]
    assert len(requests) == len(people)
    assert FREE_TEXT not in str(way.structures.log.entries)

    way.structures.answers = True
    way.structures.tick()
    await way.hub()
    way.departement.tick()
    returned = [f["retour"]["beneficiaire_retenu"] for f in way.departement.fiches.values() if "retour" in f]
    deliveries = await way.deliveries()
    assert returned == ["true"] * len(people), deliveries
    assert not [key for key in deliveries if key[2] in ("human", "refused", "sending")], deliveries
    assert await way.sql("select 1 from event where record = 'IdentityLinked' and batch is not null")
    proof = await reconcile(way.app.database)
    assert proof.unaccounted == 0, proof.findings


async def test_what_the_hub_told_webrsa_comes_back_as_an_echo(way: Way):
    await way.enter(2)
    await way.hub()
    way.departement.tick()
    await way.hub()
    before = await way.sql("select count(*) as n from event")
    moved = entrant(2, subject=replace(person(2), phones=("0639980077",)))
    changed = replace(
        moved,
        record="ContactChanged",
        key=("ContactChanged", "2"),
        fields={"channel": "PHONE", "modified_at": None, "consent": {"phone": None, "email": None}},
        journey=None,
    )
    await way.app.acceptor.accept(CAF, "test", [Incoming(changed)])
    await way.hub()
    way.departement.tick()
    await way.hub()
    after = await way.sql("select record, emitter from event order by no offset :n", n=before[0].n)
    assert [(r.record, r.emitter) for r in after] == [("ContactChanged", CAF)]
    counted = await way.sql("select sum((report -> 'dropped' ->> 'said_by_the_hub')::int) as n from batch")
    assert counted[0].n == 1


async def test_same_exports_again_change_nothing(way: Way):
    await way.enter(2)
    await way.hub()
    way.departement.tick()
    kept = {p.name: p.read_bytes() for p in way.departement.exports.iterdir() if p.is_file()}
    await way.hub()
    before = await way.sql("select count(*) as n from event")
    for name, data in kept.items():
        (way.departement.exports / name).write_bytes(data)
    await way.hub()
    after = await way.sql("select count(*) as n from event")
    assert before == after
