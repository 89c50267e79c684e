"""The decided table "France Travail, step by step", row by row, against the twin."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.france_travail import outbound
from connectors.france_travail.twin import FranceTravailTwin
from hub.cli.preview import FOLDER
from hub.sdk.manifest import load
from hub.sdk.outbound import Attempt, EventView, Learned, Lookup, Message, Nothing, Outcome, Recipient
from hub.sdk.transports import HttpTransport
from hub.sdk.twin import Running, TwinFault
from tests.connectors.twins import twin_process

NOW = datetime(2026, 3, 25, 9, 0, tzinfo=UTC)
NIR, BORN, NUMBER = "2920499999123", "1992-04-17", "07600000001"
LEARNED = (Learned("france_travail_id", NUMBER),)
WANTED = {
    "date_naissance": BORN,
    "parcours": "PSP",
    "organisme": "ML",
    "date_decision": "2026-03-20",
    "agent_decision": "HUB-076",
    "organisme_decision": "CD",
    "motif_refus": "MANQUE_CAPACITE_ACCUEIL",
}
PREVIOUS = {"parcours": "PSO", "organisme": "CD", "date_decision": "2025-09-01"}
MESSAGE = Message("orientation", WANTED)
MANIFEST = load(FOLDER / "france_travail", "connectors.france_travail").manifest


@pytest.fixture
async def http():
    transport = HttpTransport(deadline=10.0, clock=lambda: NOW)
    yield transport
    await transport.aclose()


def twin(state: Path, **more) -> FranceTravailTwin:
    return FranceTravailTwin(state, clock=lambda: NOW, **more)


def attempt(
    http: HttpTransport, url: str, *, nir: str | None = NIR, number: str | None = None, **settings
) -> Attempt:
    defaults = {name: setting.default for name, setting in MANIFEST.settings.items()}
    own = {"url": url + "/partenaire", "token_url": url + "/connexion/oauth2/access_token", "client_id": "hub", "agent": "HUB-076"}  # fmt: skip
    who = Recipient("p", "u1", number, {"nir": nir} if nir else {}, defaults | own | settings)
    return Attempt("k", 1, who, http, {"client_secret": "s"})


def decided(parcours: str, organisme: str, on: str, agent: str) -> dict:
    made = {
        "etat_decision": "ACCEPTEE",
        "date_decision": on,
        "organisme_decision": "CD",
        "agent_decision": agent,
    }
    return {
        "parcours": parcours,
        "organisme": organisme,
        "statut": "DECIDE",
        "etat": "OUVERT",
        "decision": made,
    }


def known(state: Path, orientation: dict | None = None, **more) -> FranceTravailTwin:
    """A twin that knows the person, with this orientation in force."""
    france_travail = twin(state)
    france_travail.register(NIR, BORN, NUMBER, orientation=orientation, **more)
    return france_travail


def proposed(parcours: str = "PSP", organisme: str = "ML") -> dict:
    return {
        "parcours": parcours,
        "organisme": organisme,
        "statut": "PRECONISE",
        "etat": "EN_ATTENTE",
        "decision": None,
    }


def decisions(france_travail: FranceTravailTwin) -> list[dict]:
    return [e["decision"] for e in france_travail.log.entries if e["effect"] == "decided"]


# ------------------------------------------------------------------ search
async def test_s001_found_and_its_number_is_learned(http, tmp_path):
    with Running(known(tmp_path, proposed())) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert outcome == Outcome("delivered", learned=LEARNED)


async def test_number_that_is_known_is_not_asked_for(http, tmp_path):
    fault = TwinFault("status", times=-1, status=500, path="informations-administratives")
    france_travail = known(tmp_path, proposed())
    france_travail.faults = [fault]
    with Running(france_travail) as running:
        assert await outbound.send(MESSAGE, attempt(http, running.url, number=NUMBER)) == Outcome("delivered")


async def test_number_that_cannot_be_read_does_no_harm(http, tmp_path):
    france_travail = known(tmp_path, proposed())
    france_travail.faults = [TwinFault("status", status=500, path="informations-administratives")]
    with Running(france_travail) as running:
        assert await outbound.send(MESSAGE, attempt(http, running.url)) == Outcome("delivered")


async def test_s002_waits_for_identity(http, tmp_path):
    with Running(twin(tmp_path)) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert outcome == Outcome("unknown_person", "S002")


async def test_without_nir_the_own_number_is_searched(http, tmp_path):
    with Running(known(tmp_path, proposed())) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url, nir=None, number=NUMBER))
    assert outcome.kind == "delivered"


async def test_nir_that_france_travail_does_not_know_falls_back_on_the_number(http, tmp_path):
    with Running(known(tmp_path, proposed())) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url, nir="1" + NIR[1:], number=NUMBER))
    assert outcome.kind == "delivered"


async def test_without_any_identifier_nothing_is_asked(http):
    outcome = await outbound.send(MESSAGE, attempt(http, "http://127.0.0.1:9", nir=None))
    assert outcome == Outcome("unknown_person", "no_identifier")


async def test_s003_is_for_a_human(http, tmp_path):
    with Running(known(tmp_path, proposed(), twice=True)) as running:
        assert await outbound.send(MESSAGE, attempt(http, running.url)) == Outcome("several_matches", "S003")


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (403, "R001", Outcome("unavailable", "R001", 12.0)),
        (400, "R997", Outcome("refused", "R997")),
        (500, "R998", Outcome("refused", "R998")),
        (503, "R999", Outcome("unavailable", "R999", 12.0)),
        (429, None, Outcome("retry", "http_429", 12.0)),
        (500, None, Outcome("unavailable", "http_500", 12.0)),
    ],
)
async def test_search_that_fails_has_applied_nothing(http, tmp_path, status, code, outcome):
    france_travail = known(tmp_path, proposed())
    france_travail.faults = [
        TwinFault("status", status=status, code=code, retry_after="12", path="par-datenaissance")
    ]
    with Running(france_travail) as running:
        assert await outbound.send(MESSAGE, attempt(http, running.url)) == outcome
    assert decisions(france_travail) == []


async def test_r998_comes_from_a_person_without_address(http, tmp_path):
    with Running(known(tmp_path, proposed(), no_address=True)) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert outcome == Outcome("refused", "R998")
    assert "R998" in MANIFEST.outbound.blocking_codes


@pytest.mark.parametrize("kind", ["drop", "drop_after", "hang_after", "status_after"])
@pytest.mark.parametrize("path", ["par-datenaissance", "lectureOrientation"])
async def test_read_that_breaks_is_unavailable_and_never_unknown(http, tmp_path, kind, path):
    france_travail = known(tmp_path, proposed())
    france_travail.faults = [TwinFault(kind, status=500, seconds=0.05, path=path)]
    with Running(france_travail) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert outcome.kind == "unavailable"
    assert decisions(france_travail) == []


# ------------------------------------------------------------------ the orientation in force
async def test_204_is_like_s002(http, tmp_path):
    with Running(known(tmp_path, None)) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert outcome == Outcome("unknown_person", "no_orientation", learned=LEARNED)


async def test_equal_to_ours_is_our_own_earlier_success(http, tmp_path):
    france_travail = known(tmp_path, decided("PSP", "ML", "2026-03-20", "HUB-076"))
    with Running(france_travail) as running:
        assert (await outbound.send(MESSAGE, attempt(http, running.url))).kind == "delivered"
    assert decisions(france_travail) == []


async def test_equal_to_the_previous_is_decided_again(http, tmp_path):
    france_travail = known(tmp_path, decided("PSO", "CD", "2025-09-01", "AGENT-1"))
    with Running(france_travail) as running:
        outcome = await outbound.send(
            Message("orientation", WANTED | {"precedente": PREVIOUS}), attempt(http, running.url)
        )
    assert outcome.kind == "delivered"
    assert [d["etat_decision"] for d in decisions(france_travail)] == ["REFUSEE"]


@pytest.mark.parametrize(
    "orientation",
    [
        decided("PSO", "CD", "2025-09-01", "HUB-076"),
        decided("PSP", "ML", "2026-03-20", "AGENT-1"),
        decided("PSP", "ML", "2026-03-19", "HUB-076"),
        decided("PED", "ML", "2026-03-20", "HUB-076"),
    ],
)
async def test_decided_otherwise_is_for_a_human(http, tmp_path, orientation):
    france_travail = known(tmp_path, orientation)
    with Running(france_travail) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert (outcome.kind, outcome.code) == ("refused", "ALREADY_DECIDED")
    assert MANIFEST.outbound.code_actions[outcome.code] == "already_decided"
    assert decisions(france_travail) == []


async def test_proposal_equal_to_the_wanted_is_accepted(http, tmp_path):
    france_travail = known(tmp_path, proposed("PSP", "ML"))
    with Running(france_travail) as running:
        assert (await outbound.send(MESSAGE, attempt(http, running.url))).kind == "delivered"
    assert decisions(france_travail) == [
        {
            "etat_decision": "ACCEPTEE",
            "date_decision": "2026-03-20",
            "organisme_decision": "CD",
            "agent_decision": "HUB-076",
        }
    ]


@pytest.mark.parametrize("proposal", [("PED", "ML"), ("PSP", "CD"), ("PED", "FT")])
async def test_other_proposal_is_refused_and_replaced_with_the_reason(http, tmp_path, proposal):
    france_travail = known(tmp_path, proposed(*proposal))
    with Running(france_travail) as running:
        assert (await outbound.send(MESSAGE, attempt(http, running.url))).kind == "delivered"
    made = decisions(france_travail)[0]
    assert (made["etat_decision"], made["motif_refus"]) == ("REFUSEE", "MANQUE_CAPACITE_ACCUEIL")
    orientation = france_travail.usagers[NUMBER].orientation
    assert (orientation["parcours"], orientation["organisme"], orientation["statut"]) == (
        "PSP",
        "ML",
        "DECIDE",
    )
    assert "commentaireRefus" not in made


async def test_state_that_nobody_described_is_for_a_human(http, tmp_path):
    with Running(known(tmp_path, proposed() | {"statut": "SUSPENDU"})) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert (outcome.kind, outcome.code) == ("refused", "UNKNOWN_STATE")


# ------------------------------------------------------------------ an outcome that nobody knows
@pytest.mark.parametrize("kind", ["drop_after", "hang_after", "status_after"])
async def test_decision_that_arrived_unseen_is_found_and_not_made_twice(http, tmp_path, kind):
    france_travail = known(tmp_path, proposed("PED", "FT"))
    france_travail.faults = [TwinFault(kind, status=500, seconds=0.05, path="decisionOrientation")]
    with Running(france_travail) as running:
        first = await outbound.send(MESSAGE, attempt(http, running.url))
        found = await outbound.look_up(MESSAGE, attempt(http, running.url))
        again = await outbound.send(MESSAGE, attempt(http, running.url))
    assert (first.kind, found, again.kind) == ("unknown", Lookup("applied"), "delivered")
    assert len(decisions(france_travail)) == 1


@pytest.mark.parametrize("kind", ["drop", "hang"])
async def test_decision_that_did_not_arrive_is_not_there(http, tmp_path, kind):
    france_travail = known(tmp_path, proposed())
    france_travail.faults = [TwinFault(kind, seconds=0.05, path="decisionOrientation")]
    with Running(france_travail) as running:
        first = await outbound.send(MESSAGE, attempt(http, running.url))
        found = await outbound.look_up(MESSAGE, attempt(http, running.url))
        again = await outbound.send(MESSAGE, attempt(http, running.url))
    assert (first.kind, found, again.kind) == ("unknown", Lookup("not_there"), "delivered")
    assert len(decisions(france_travail)) == 1


async def test_busy_decision_is_certainly_not_applied(http, tmp_path):
    france_travail = known(tmp_path, proposed())
    france_travail.faults = [TwinFault("status", status=429, retry_after="30", path="decisionOrientation")]
    with Running(france_travail) as running:
        outcome = await outbound.send(MESSAGE, attempt(http, running.url))
    assert (outcome.kind, outcome.after, outcome.learned) == ("retry", 30.0, LEARNED)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: known(p, decided("PSP", "ML", "2026-03-20", "HUB-076")), Lookup("applied")),
        (lambda p: known(p, decided("PSO", "CD", "2025-09-01", "X")), Lookup("not_there")),
        (
            lambda p: known(p, decided("PED", "FT", "2026-03-21", "X")),
            Lookup("cannot_tell", code="ALREADY_DECIDED"),
        ),
        (lambda p: known(p, None), Lookup("cannot_tell", code="no_orientation")),
        (lambda p: twin(p), Lookup("cannot_tell", code="S002")),
        (lambda p: known(p, proposed(), twice=True), Lookup("cannot_tell", code="S003")),
    ],
)
async def test_look_up_says_only_what_is_sure(http, tmp_path, make, expected):
    message = Message("orientation", WANTED | {"precedente": PREVIOUS})
    with Running(make(tmp_path)) as running:
        assert await outbound.look_up(message, attempt(http, running.url)) == expected


async def test_look_up_of_a_partner_that_is_down_cannot_tell(http):
    assert (await outbound.look_up(MESSAGE, attempt(http, "http://127.0.0.1:9"))).found == "cannot_tell"


# ------------------------------------------------------------------ tokens
async def test_one_token_serves_many_decisions(http, tmp_path):
    france_travail = known(tmp_path, proposed())
    with Running(france_travail) as running:
        await asyncio.gather(*(outbound.look_up(MESSAGE, attempt(http, running.url)) for _ in range(20)))
    assert len(france_travail.tokens) == 1


async def test_wrong_secret_pauses_the_partner_and_refuses_no_decision(http, tmp_path):
    with Running(twin(tmp_path, client_secret="other")) as running:
        assert await outbound.send(MESSAGE, attempt(http, running.url)) == Outcome("unavailable", "token")


async def test_forgotten_token_is_renewed_once(http, tmp_path):
    france_travail = known(tmp_path, proposed())
    with Running(france_travail) as running:
        await outbound.look_up(MESSAGE, attempt(http, running.url))
        france_travail.tokens.clear()
        assert (await outbound.send(MESSAGE, attempt(http, running.url))).kind == "delivered"
        assert len(france_travail.tokens) == 1


# ------------------------------------------------------------------ translate and the pure halves
def view(**fields) -> EventView:
    person = {"person": {"birth_date": BORN}}
    wanted = {"parcours": "SOCIO_PRO", "organism": "ML", "decided_on": "2026-03-20", "decider": "PCD"}
    return EventView("OrientationDecided", "e", 1, NOW, "76", person | wanted | fields)


def translated(settings: dict | None = None, **fields) -> Message | Nothing:
    own = {"agent": "HUB-076", "organisme_decision": "CD", **(settings or {})}
    return outbound.translate(view(**fields), Recipient("p", "u", None, {"nir": NIR}, own))


def test_identifiers_are_not_in_the_message():
    message = translated()
    assert isinstance(message, Message)
    assert NIR.encode() not in message.encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"decider": "FT_DEFAULT"},
        {"parcours": "UNKNOWN"},
        {"organism": "IND"},
        {"decided_on": None},
        {"person": {}},
    ],
)
def test_what_france_travail_cannot_take_or_knows_itself_is_nothing(fields):
    assert translated(**fields) == Nothing()


@pytest.mark.parametrize(
    ("reason", "sent"),
    [(None, "APPRECIATION_DIFFERENTE"), ("AUTRE", "AUTRE"), ("prose", "APPRECIATION_DIFFERENTE")],
)
def test_reason_is_a_code_of_the_table(reason, sent):
    message = translated(proposal_refused_reason=reason)
    assert isinstance(message, Message)
    assert message.body["motif_refus"] == sent


def test_crossed_codes_are_a_setting_and_visible_in_the_message():
    message = translated({"parcours": {"SOCIO_PRO": "PSO"}})
    assert isinstance(message, Message)
    assert message.body["parcours"] == "PSO"


CODES = st.sampled_from(["PED", "PSP", "PSO"])
ORGANISMS = st.sampled_from(["FT", "CD", "ML"])


@given(CODES, ORGANISMS)
def test_decision_accepts_exactly_what_is_wanted(parcours, organisme):
    made = outbound.decision(proposed(parcours, organisme), WANTED)
    same = (parcours, organisme) == (WANTED["parcours"], WANTED["organisme"])
    assert (made["etat_decision"] == "ACCEPTEE") == same
    assert ("motif_refus" in made) == (not same)


@given(CODES, ORGANISMS, st.dates(), st.sampled_from(["HUB-076", "X", None]))
def test_nothing_decided_is_ever_overwritten_but_the_previous(parcours, organisme, on, agent):
    current = decided(parcours, organisme, on.isoformat(), agent)
    wanted = WANTED | {"precedente": PREVIOUS}
    if outbound.verdict(current, wanted) == "decide":
        assert (parcours, organisme, on.isoformat()) == tuple(PREVIOUS.values())


# ------------------------------------------------------------------ the twin
@pytest.mark.parametrize(
    "change",
    [
        {"etat_decision": "OUI"},
        {"date_decision": "2026-03-26"},
        {"date_decision": "hier"},
        {"organisme_decision": "FT"},
        {"etat_decision": "REFUSEE", "motif_refus": "PROSE", "parcours": "PED", "organisme": "FT"},
        {"etat_decision": "REFUSEE", "motif_refus": "AUTRE", "parcours": "X", "organisme": "FT"},
    ],
)
async def test_twin_refuses_a_decision_that_does_not_hold(http, tmp_path, change):
    france_travail = known(tmp_path, proposed())
    with Running(france_travail) as running:
        api = outbound.Api(attempt(http, running.url))
        person = await api.find(BORN)
        made = outbound.decision(proposed(), WANTED) | change
        assert await api.decide(person, made) == Outcome("refused", "R997")
    assert decisions(france_travail) == []


async def test_twin_refuses_a_forged_person_token(http, tmp_path):
    with Running(known(tmp_path, proposed())) as running:
        api = outbound.Api(attempt(http, running.url))
        outcome = await api.read(outbound.Person(f"{NUMBER}.9999999999.0000000000000000"))
    assert outcome == Outcome("unavailable", "JETON_USAGER")


async def test_twin_registers_people_by_itself_some_later(http, tmp_path):
    with Running(twin(tmp_path, auto=0.0)) as running:
        first = await outbound.send(MESSAGE, attempt(http, running.url))
        second = await outbound.send(MESSAGE, attempt(http, running.url))
    assert (first.code, second.kind) == ("S002", "delivered")


async def test_twin_as_a_process_remembers_decisions(http, tmp_path):
    with twin_process("connectors.france_travail.twin", tmp_path, "--auto", "1.0") as (url, _):
        assert (await outbound.send(MESSAGE, attempt(http, url))).kind == "delivered"
    with twin_process("connectors.france_travail.twin", tmp_path, "--auto", "1.0") as (url, _):
        assert await outbound.look_up(MESSAGE, attempt(http, url)) == Lookup("applied")
