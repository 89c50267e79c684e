"""Lines for the département, and the small WebRSA that reads them, decides, and exports what the hub reads again."""

from __future__ import annotations

import csv
import io
import os
from datetime import UTC, datetime

import pytest

from connectors.departement import inbound_ali, inbound_pos_w, outbound
from connectors.departement.fiche import measure_id
from connectors.departement.twin import DepartementTwin
from connectors.departement.webrsa_files import FREE_TEXT
from hub.sdk.outbound import EventView, Message, Nothing, Recipient
from hub.sdk.transports import HttpTransport, files
from tests.connectors.departement.world import NOW, SETTINGS, Source, digest
from tests.connectors.twins import twin_process

PERSON = {
    "birth_name": "ESSAI",
    "name": None,
    "first_names": ["Lou", "Zoé"],
    "birth_date": "1992-04-17",
    "phones": ["+33639980001"],
    "email": "lou@example.org",
    "address": {
        "lines": ["12 RUE DES ESSAIS"],
        "postal_code": "76000",
        "insee_code": "76540",
        "commune": "ROUEN",
    },
}
STRUCTURES = [("3", "CD", "Unité"), ("5", "ML", "Mission locale")]


def line(record: str, their_id: str | None = None, **fields) -> Message | Nothing:
    view = EventView(record, "e1", 1, NOW, "76", {"person": PERSON, **fields})
    who = Recipient("p", "u-1", their_id, {"nir": "2920499999123", "matricule": "0345146"}, SETTINGS)
    return outbound.translate(view, who)


def message(record: str, their_id: str | None = None, **fields) -> Message:
    made = line(record, their_id, **fields)
    assert isinstance(made, Message)
    return made


def twin(state, **more) -> DepartementTwin:
    more = {"structures": STRUCTURES, "conventions": ["CONV-2026-014"], "share": 1.0} | more
    return DepartementTwin(state, clock=lambda: NOW, **more)


def drop(webrsa: DepartementTwin, name: str, *messages: Message) -> None:
    files.write_temporary(webrsa.folder, name, 1, outbound.render(messages, SETTINGS))
    files.publish(webrsa.folder, name, 1)


def exported(webrsa: DepartementTwin, part: str) -> list[bytes]:
    return [
        (webrsa.exports / name).read_bytes() for name in sorted(os.listdir(webrsa.exports)) if part in name
    ]


# ------------------------------------------------------------------ lines
@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("RsaEntitlementChanged", {"after": "UNKNOWN"}),
        ("RsaEntitlementChanged", {}),
        ("DepartmentTransferred", {"direction": "UNKNOWN"}),
        ("ContactChanged", {"channel": "UNKNOWN"}),
        ("ContactChanged", {"channel": "PHONE", "person": {"birth_name": "X"}}),
        ("MeasureAnswered", {"answer": "ACCEPTED"}),
        ("MeasureAnswered", {"measure_id": "x", "answer": "UNKNOWN"}),
        ("PersonCorrected", {"person": {}}),
    ],
)
def test_line_without_its_fact_is_not_written(record, fields):
    assert line(record, **fields) == Nothing()


def test_new_person_goes_under_the_hubs_reference_and_a_known_one_under_webrsas_number():
    assert message("NewRsaEntrant").body["Identifiant dans le SI"] == "u-1"
    assert message("NewRsaEntrant", "90001").body["Identifiant dans le SI"] == "90001"


def test_columns_dropped_at_the_hubs_edge_stay_empty():
    data = outbound.render([message("NewRsaEntrant")], SETTINGS).decode("utf-8-sig")
    row = next(csv.DictReader(io.StringIO(data), delimiter=";"))
    assert len(row) == 25
    for column in ("Droits ARE", "Droits ASS", "Prime d'activité", "Droits RQTH", "Lieu de naissance"):
        assert row[column] == ""


def test_answer_fills_the_return_columns_of_its_fiche():
    identifier = str(measure_id(4201, digest))
    refused = message("MeasureAnswered", measure_id=identifier, answer="REFUSED", reason_code="NO_PLACE_LEFT", answered_on="2026-04-02")  # fmt: skip
    assert refused.body == {
        "identifiant_webrsa": "4201",
        "identifiant_frsa": identifier,
        "reception_candidature": "true",
        "beneficiaire_retenu": "false",
        "beneficiaire_rejete_motif": "1",
        "date_retour": "02/04/2026",
    }
    later = message("MeasureAnswered", measure_id=identifier, answer="PENDING")
    assert "beneficiaire_retenu" not in later.body


@pytest.mark.parametrize(
    ("own", "reason", "told"),
    [
        ({"NO_PLACE_LEFT": 44}, "NO_PLACE_LEFT", "44"),
        ({}, "UNKNOWN", "9"),
        ({}, "OUT_OF_AREA", "3"),
        ({}, None, None),
    ],
)
def test_reasons_go_out_under_the_numbers_of_this_webrsa(own, reason, told):
    view = EventView(
        "MeasureAnswered", "e", 1, NOW, "76", {"measure_id": "x", "answer": "REFUSED", "reason_code": reason}
    )
    made = outbound.translate(view, Recipient("p", "u", settings=SETTINGS | {"rejete_motifs": own}))
    assert isinstance(made, Message)
    assert made.body.get("beneficiaire_rejete_motif") == told


def test_lines_of_two_actions_are_never_mixed_in_one_file():
    with pytest.raises(ValueError, match="one action"):
        outbound.render(
            [message("NewRsaEntrant"), message("RsaEntitlementChanged", after="CLOSED")], SETTINGS
        )


# ------------------------------------------------------------------ round trip with the twin
def test_entrant_comes_back_as_a_decision_a_referent_and_a_request(tmp_path):
    webrsa = twin(tmp_path)
    drop(webrsa, "entrants_1.csv", message("NewRsaEntrant"))
    webrsa.tick()
    ali = Source(inbound_ali, {"referential": str(webrsa.exports / "referentiel.xml")})
    drafts, rejects, _ = ali.take(exported(webrsa, "webrsa_ali")[0])
    requests, refused, _ = Source(inbound_pos_w).take(exported(webrsa, "POS_W")[0])
    assert (rejects, refused) == ([], [])
    assert [d.record for d in drafts + requests] == [
        "OrientationDecided",
        "ReferentDesignated",
        "MeasureRequested",
    ]
    assert drafts[0].subject.nir == "2920499999123"
    assert drafts[0].subject.matricule == ("", "", "0345146")
    assert FREE_TEXT not in str(requests)


def test_answer_reaches_the_fiche_it_belongs_to(tmp_path):
    webrsa = twin(tmp_path)
    drop(webrsa, "entrants_1.csv", message("NewRsaEntrant"))
    webrsa.tick()
    request = Source(inbound_pos_w).take(exported(webrsa, "POS_W")[0])[0][0]
    drop(
        webrsa,
        "retours_1.csv",
        message("MeasureAnswered", measure_id=request.fields["measure_id"], answer="ACCEPTED"),
    )
    webrsa.tick()
    assert [fiche["retour"]["beneficiaire_retenu"] for fiche in webrsa.fiches.values()] == ["true"]


def test_change_is_exported_again_as_an_echo(tmp_path):
    """What the hub told comes back: the draft holds exactly the told phone, for accept to recognise it."""
    webrsa = twin(tmp_path, share=0.0)
    drop(webrsa, "entrants_1.csv", message("NewRsaEntrant"))
    webrsa.tick()
    ali = Source(inbound_ali, {"referential": str(webrsa.exports / "referentiel.xml")})
    ali.take(exported(webrsa, "webrsa_ali")[0])
    changed = PERSON | {"phones": ["+33639980777"]}
    drop(webrsa, "modifications_1.csv", message("ContactChanged", "90001", channel="PHONE", person=changed))
    webrsa.tick()
    drafts, _, _ = ali.take(exported(webrsa, "webrsa_ali")[1])
    assert [(d.record, d.fields["channel"], d.subject.phones) for d in drafts] == [
        ("ContactChanged", "PHONE", ("0639980777",))
    ]


def test_twin_decides_the_same_under_the_same_seed(tmp_path):
    entries = []
    for name in ("a", "b"):
        webrsa = twin(tmp_path / name, seed=5)
        drop(webrsa, "entrants_1.csv", message("NewRsaEntrant"))
        webrsa.tick()
        entries.append(webrsa.log.entries)
    assert entries[0] == entries[1]


def test_mission_locale_gets_young_people_only(tmp_path):
    webrsa = twin(tmp_path, structures=STRUCTURES)
    people = [message("NewRsaEntrant", person=PERSON | {"birth_date": "1992-04-17"})]
    for number in range(12):
        people.append(Message("entrants", people[0].body | {"Identifiant dans le SI": f"u-{number + 2}"}))
    drop(webrsa, "entrants_1.csv", *people)
    webrsa.tick()
    assert {p.orientations[0]["structure"] for p in webrsa.persons.values()} == {"3"}


def test_twin_killed_after_any_effect_goes_on_where_it_was(tmp_path):
    """Cut the log after each effect: the twin started on it ends with the same decisions and fiches."""
    webrsa = twin(tmp_path / "whole")
    drop(webrsa, "entrants_1.csv", message("NewRsaEntrant"))
    webrsa.tick()
    lines = (tmp_path / "whole" / "departement.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        state = tmp_path / str(kept)
        state.mkdir()
        (state / "departement.jsonl").write_bytes(b"".join(lines[:kept]) + b'{"torn')
        again = twin(state)
        again.tick()
        assert [p.orientations for p in again.persons.values()] == [
            p.orientations for p in webrsa.persons.values()
        ]
        assert set(again.fiches) <= set(webrsa.fiches)
        assert all(person.exported for person in again.persons.values())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Nom": ""}, "Nom must be filled"),
        ({"Nom": "ESSAI (née X)"}, "brackets"),
        ({"NIR": "123"}, "NIR"),
        ({"Date de naissance": "1992-04-17"}, "no date"),
    ],
)
def test_twin_refuses_a_file_with_a_line_that_the_real_one_refuses(tmp_path, change, why):
    webrsa = twin(tmp_path)
    drop(webrsa, "entrants_1.csv", Message("entrants", message("NewRsaEntrant").body | change))
    webrsa.tick()
    assert why in webrsa.log.entries[0]["why"]
    assert (os.listdir(webrsa.refused), webrsa.persons) == (["entrants_1.csv"], {})


def test_twin_refuses_an_unknown_layout(tmp_path):
    webrsa = twin(tmp_path)
    (webrsa.folder / "x.csv").write_bytes("a;b\r\n1;2\r\n".encode("utf-8-sig"))
    webrsa.tick()
    assert "no layout" in webrsa.log.entries[0]["why"]


async def test_twin_as_a_process_reads_and_exports(tmp_path):
    territory = tmp_path / "territory"
    territory.mkdir()
    (territory / "structures.csv").write_text(
        "# source: test\nwebrsa_id,partner,siret,organism,label\n3,p,1,CD,Unité\n"
    )
    (territory / "actions.csv").write_text("convention,partner,measure_type\nCONV-2026-014,p,mobilite\n")
    arguments = [
        "--structures",
        str(territory / "structures.csv"),
        "--actions",
        str(territory / "actions.csv"),
    ]
    http = HttpTransport(deadline=5.0, clock=lambda: datetime.now(UTC))
    with twin_process("connectors.departement.twin", tmp_path / "state", *arguments) as (url, _):
        folder = tmp_path / "state" / "depot"
        files.write_temporary(folder, "e.csv", 1, outbound.render([message("NewRsaEntrant")], SETTINGS))
        files.publish(folder, "e.csv", 1)
        await http.request("POST", url + "/_twin/tick")
        effects = (await http.request("GET", url + "/_twin/effects")).json()
    await http.aclose()
    kinds = [effect["effect"] for effect in effects]
    assert kinds[:2] == ["taken", "decided"]
    assert kinds[-1] == "exported"
