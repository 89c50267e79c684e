"""A request goes out under its key, is applied once, and the answer comes back by polling."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connectors.structure import inbound, outbound
from connectors.structure.twin import StructureTwin
from hub.sdk.inbound import Context, PollSource, Position, Reject
from hub.sdk.outbound import Attempt, EventView, Message, Nothing, Outcome, Recipient
from hub.sdk.transports import Fault, HttpTransport, Page
from hub.sdk.twin import Running, TwinFault
from tests.connectors.twins import twin_process
from tests.sdk.servers import answer as raw_answer
from tests.sdk.servers import raw_server

NOW = datetime(2026, 3, 20, 9, 0, tzinfo=UTC)
MEASURE = "0a5d2c3b-8e4f-8a6b-9c7d-1e2f3a4b5c01"
BODY = {
    "orientation_id": MEASURE,
    "mesure": "mobilite",
    "beneficiaire": {"reference": "u1", "nom_naissance": "ESSAI", "prenoms": ["Alix"]},
    "expire_le": "2026-05-05",
}


@pytest.fixture
async def http():
    transport = HttpTransport(deadline=5.0, clock=lambda: NOW)
    yield transport
    await transport.aclose()


def twin(state: Path, **more) -> StructureTwin:
    return StructureTwin(state, clock=lambda: NOW, **more)


def attempt(http: HttpTransport, url: str, key: str = "k1", api_key: str = "cle") -> Attempt:
    return Attempt(key, 1, Recipient("p", "u1", settings={"url": url + "/s/a/"}), http, {"api_key": api_key})


def view(record: str, **fields) -> EventView:
    return EventView(record, "e", 1, NOW, "76", fields)


def context() -> Context:
    return Context("76", NOW.date(), NOW, lambda *p: "0" * 64, {}, {})


def answer(**more) -> dict:
    return {"orientation_id": MEASURE, "statut": "VALIDÉE", "repondu_le": "2026-04-02", **more}


# ------------------------------------------------------------------ out
async def test_request_is_delivered_with_its_receipt(http, tmp_path):
    with Running(twin(tmp_path)) as running:
        outcome = await outbound.send(Message("orientation", BODY), attempt(http, running.url))
    assert outcome == Outcome("delivered", ack="R1")
    assert [(e["effect"], e["key"], e["structure"]) for e in running.twin.log.entries] == [
        ("requested", "k1", "a")
    ]


async def test_same_key_again_is_applied_once(http, tmp_path):
    with Running(twin(tmp_path, answers=False)) as running:
        first, again = [
            await outbound.send(Message("orientation", BODY), attempt(http, running.url)) for _ in range(2)
        ]
    assert first == again
    assert len(running.twin.log.entries) == 1


async def test_same_key_at_once_is_applied_once(http, tmp_path):
    with Running(twin(tmp_path, answers=False)) as running:
        outcomes = await asyncio.gather(
            *(outbound.send(Message("orientation", BODY), attempt(http, running.url)) for _ in range(20))
        )
    assert set(outcomes) == {Outcome("delivered", ack="R1")}
    assert len(running.twin.log.entries) == 1


async def test_other_body_under_one_key_is_refused(http, tmp_path):
    with Running(twin(tmp_path, answers=False)) as running:
        await outbound.send(Message("orientation", BODY), attempt(http, running.url))
        other = Message("orientation", BODY | {"mesure": "aci"})
        assert await outbound.send(other, attempt(http, running.url)) == Outcome("refused", "cle_reutilisee")


async def test_key_is_remembered_after_the_structures_own_restart(http, tmp_path):
    with Running(twin(tmp_path, answers=False, faults=[TwinFault("drop_after")])) as running:
        assert (
            await outbound.send(Message("orientation", BODY), attempt(http, running.url))
        ).kind == "unknown"
    with Running(twin(tmp_path, answers=False)) as running:
        outcome = await outbound.send(Message("orientation", BODY), attempt(http, running.url))
    assert outcome == Outcome("delivered", ack="R1")
    assert len(running.twin.log.entries) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mesure": None}, "champ_manquant"),
        ({"beneficiaire": {}}, "champ_manquant"),
        ({"expire_le": "2026-03-19"}, "date_depassee"),
        ({"expire_le": "bientôt"}, "champ_illisible"),
        ({"orientation_id": "7"}, "champ_illisible"),
        ({"nir": "1"}, "donnee_interdite"),
        ({"beneficiaire": {"reference": "u", "nom_naissance": "X", "numero_caf": "1"}}, "donnee_interdite"),
    ],
)
async def test_structure_refuses_what_it_must_not_get_or_cannot_use(http, tmp_path, change, code):
    with Running(twin(tmp_path)) as running:
        outcome = await outbound.send(Message("orientation", BODY | change), attempt(http, running.url))
    assert outcome == Outcome("refused", code)
    assert running.twin.log.entries == []


async def test_wrong_api_key_pauses_and_refuses_no_item(http, tmp_path):
    with Running(twin(tmp_path, api_key="autre")) as running:
        outcome = await outbound.send(Message("orientation", BODY), attempt(http, running.url))
    assert outcome == Outcome("unavailable", "cle_api_refusee")


async def test_key_being_worked_on_is_unknown(http, tmp_path):
    busy = TwinFault("status", status=409, code="en_cours")
    with Running(twin(tmp_path, faults=[busy])) as running:
        outcome = await outbound.send(Message("orientation", BODY), attempt(http, running.url))
    assert outcome == Outcome("unknown", "en_cours")


def test_measure_without_its_kind_is_no_request():
    assert outbound.translate(view("MeasureRequested", measure_id=MEASURE), Recipient("p", "u")) == Nothing()


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("DepartmentTransferred", {"direction": "IN"}),
        ("ContactChanged", {"channel": "ADDRESS", "person": {"phones": ["1"], "email": "x@example.org"}}),
        ("ContactChanged", {"channel": "PHONE", "person": {"email": "x@example.org"}}),
        ("RsaEntitlementChanged", {"entitled": None}),
        ("ReferentDesignated", {"scope": "UNIQUE", "person": {"referent": None}}),
    ],
)
def test_what_is_not_the_structures_business_says_nothing(record, fields):
    assert outbound.translate(view(record, **fields), Recipient("p", "u")) == Nothing()


@pytest.mark.parametrize(
    ("phone", "told"),
    [("+33612345678", "0612345678"), ("+32470123456", "+32470123456"), ("0612345678", "0612345678")],
)
def test_french_numbers_have_ten_digits(phone, told):
    message = outbound.translate(
        view("ContactChanged", channel="PHONE", person={"phones": [phone]}), Recipient("p", "u")
    )
    assert isinstance(message, Message)
    assert message.body["beneficiaire"]["telephones"] == [told]


# ------------------------------------------------------------------ in
async def test_answers_come_by_cursor(http, tmp_path):
    structure = twin(tmp_path, answers=False)
    for day in range(1, 4):
        structure.answer("a", MEASURE, "VALIDÉE", date(2026, 4, day))
    with Running(structure) as running:
        source = PollSource(http, {"url": running.url + "/s/a"}, {"api_key": "cle"})
        first = await inbound.poll(None, source)
        assert isinstance(first, Page)
        assert [item.answered_on.day for item in first.items] == [1, 2, 3]
        assert await inbound.poll(first.cursor, source) == Page((), "3")


@pytest.mark.parametrize(
    ("given", "kept"), [("YWJj+/8=", "YWJj+/8="), ("", "old"), (None, "old"), (7, "old"), ("x" * 501, "old")]
)
async def test_cursor_is_the_structures_own_text(http, given, kept):
    async with raw_server(raw_answer(200, json.dumps({"answers": [], "cursor": given}).encode())) as server:
        page = await inbound.poll("old", PollSource(http, {"url": server.url}, {"api_key": "c"}))
    assert page == Page((), kept)
    assert b"/answers?after=old&limit=100 " in server.requests[0]


async def test_structure_answers_by_its_places(http, tmp_path):
    structure = twin(tmp_path, places=1, share=(1.0, 0.0, 0.0))
    with Running(structure) as running:
        for number in (1, 2):
            body = BODY | {"orientation_id": MEASURE[:-1] + str(number)}
            await outbound.send(Message("orientation", body), attempt(http, running.url, f"k{number}"))
        await http.request("POST", running.url + "/_twin/tick")
        page = await inbound.poll(None, PollSource(http, {"url": running.url + "/s/a"}, {"api_key": "cle"}))
    assert isinstance(page, Page)
    assert [(item.answer, item.reason, item.places_left) for item in page.items] == [
        ("ACCEPTED", None, 0),
        ("REFUSED", "NO_PLACE_LEFT", 0),
    ]


async def test_structure_that_says_later_decides_later(http, tmp_path):
    structure = twin(tmp_path, share=(0.0, 0.0, 1.0))
    with Running(structure) as running:
        await outbound.send(Message("orientation", BODY), attempt(http, running.url))
        for _ in range(2):
            await http.request("POST", running.url + "/_twin/tick")
        page = await inbound.poll(None, PollSource(http, {"url": running.url + "/s/a"}, {"api_key": "cle"}))
    assert isinstance(page, Page)
    assert [item.answer for item in page.items] == ["PENDING", "ACCEPTED"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (TwinFault("status", status=503, retry_after="5"), Fault("answer", True, 5.0, "http_503")),
        (TwinFault("drop"), Fault("broken", True)),
    ],
)
async def test_poll_that_fails_says_so_and_moves_no_cursor(http, tmp_path, fault, expected):
    with Running(twin(tmp_path, faults=[fault])) as running:
        assert (
            await inbound.poll("4", PollSource(http, {"url": running.url + "/s/a"}, {"api_key": "c"}))
            == expected
        )


@pytest.mark.parametrize(
    ("item", "reason", "field"),
    [
        ([], "not_an_object", None),
        ({}, "unknown_reference", "orientation_id"),
        (answer(orientation_id=7), "unknown_reference", "orientation_id"),
        (answer(statut="EXPIRÉE"), "unknown_code", "statut"),
        (answer(statut=None), "unknown_code", "statut"),
        (answer(repondu_le="02/04/2026"), "not_a_date", "repondu_le"),
        (answer(repondu_le=None), "not_a_date", "repondu_le"),
        (answer(places_restantes=-1), "not_a_number", "places_restantes"),
        (answer(places_restantes=True), "not_a_number", "places_restantes"),
        (answer(rendez_vous={"debut": "2026-04-07T14:00:00"}), "not_a_time", "rendez_vous.debut"),
        (
            answer(rendez_vous={"debut": "2026-04-07T14:00:00+02:00", "mode": "PIGEON"}),
            "not_a_time",
            "rendez_vous.mode",
        ),
        (answer(rendez_vous="demain"), "not_a_time", "rendez_vous.debut"),
    ],
)
def test_answer_that_does_not_hold_is_rejected_with_its_field(item, reason, field):
    reject = inbound.read(item, 3)
    assert isinstance(reject, Reject)
    assert (reject.position, reject.reason, reject.field) == (Position(3), reason, field)


def test_answer_becomes_an_event_about_the_requests_person():
    item = answer(motif_code="CAPACITE", places_restantes=3, emis_le="2026-04-02T10:00:00+02:00")
    item["rendez_vous"] = {"debut": "2026-04-07T14:00:00+02:00", "mode": "VISIO"}
    draft = inbound.decide({}, inbound.read(item, 1), context()).drafts[0]
    assert (draft.record, draft.key) == ("MeasureAnswered", (MEASURE, "ACCEPTED", "2026-04-02"))
    assert draft.subject.reference == MEASURE
    assert draft.observed_at == datetime(2026, 4, 2, 8, tzinfo=UTC)
    assert draft.fields == {
        "measure_id": MEASURE,
        "answer": "ACCEPTED",
        "answered_on": date(2026, 4, 2),
        "reason_code": "NO_PLACE_LEFT",
        "appointment": {"starts_at": datetime(2026, 4, 7, 12, tzinfo=UTC), "mode": "VIDEO"},
        "places_left": 3,
        "amount_cents": None,
    }


def test_unknown_reason_is_unknown_and_prose_is_not_repeated():
    decision = inbound.decide({}, inbound.read(answer(motif_code="Mme FICTIF est malade"), 1), context())
    assert decision.drafts[0].fields["reason_code"] == "UNKNOWN"
    assert "FICTIF" not in decision.warnings[0].detail
    coded = inbound.decide({}, inbound.read(answer(motif_code="X9"), 1), context())
    assert "X9" in coded.warnings[0].detail


def run(*items: dict) -> list:
    """Decide over several answers, carrying the memory."""
    memory: dict = {}
    decisions = []
    for number, item in enumerate(items, 1):
        record = inbound.read(item, number)
        decision = inbound.decide(
            {k: memory[k] for k in inbound.keys(record) if k in memory}, record, context()
        )
        memory.update(decision.memory)
        decisions.append(decision)
    return decisions


def test_same_answer_again_is_a_duplicate():
    first, again = run(answer(), answer())
    assert (len(first.drafts), again.drafts, again.counts) == (1, (), {"duplicate": 1})


def test_decision_after_later_is_progress():
    _, final = run(answer(statut="EN_ATTENTE"), answer())
    assert final.drafts[0].corrects is None


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"statut": "REFUSÉE"}, "ENTERED_IN_ERROR"), ({"repondu_le": "2026-04-03"}, "DATE_CORRECTED")],
)
def test_changed_answer_corrects_the_last_one(change, kind):
    _, changed = run(answer(), answer(**change))
    assert changed.drafts[0].corrects == {"key": (MEASURE, "ACCEPTED", "2026-04-02"), "kind": kind}


# ------------------------------------------------------------------ the twin as a process
async def test_twin_killed_outright_remembers_what_it_applied(http, tmp_path):
    with twin_process("connectors.structure.twin", tmp_path, "--silent") as (url, process):
        far = Message("orientation", BODY | {"expire_le": "2099-01-01"})
        assert await outbound.send(far, attempt(http, url)) == Outcome("delivered", ack="R1")
        process.kill()
        process.wait()
        assert (await outbound.send(far, attempt(http, url))).kind in ("unavailable", "unknown")
    with twin_process("connectors.structure.twin", tmp_path, "--silent") as (url, _):
        assert await outbound.send(far, attempt(http, url)) == Outcome("delivered", ack="R1")
        effects = (await http.request("GET", url + "/_twin/effects")).json()
    assert [effect["effect"] for effect in effects] == ["requested"]
