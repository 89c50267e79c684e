"""Positionings become measure requests; their free texts go nowhere; damage is refused or rejected."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.departement import inbound_pos_w
from connectors.departement.fiche import fiche_number, measure_id
from connectors.departement.formats.pos_w import COLUMNS
from hub.sdk.inbound import FileRefused
from tests.connectors.departement.world import SAMPLES, Source, digest, reasons

SAMPLE = (SAMPLES / "POS_W_positionnement.synthetique.csv").read_bytes()
ROW = {
    "e_date_extraction": "2026-03-26",
    "identifiant_webrsa": "4300",
    "structref_id": "3",
    "motif_pos": "SECRET-A",
    "beneficiaire_rejete_motif_autre": "SECRET-B",
    "beneficiaire_identifiant": "90001",
    "beneficiaire_numero_caf": "0345146",
    "beneficiaire_civilite": "Femme",
    "beneficiaire_nom": "GARÇON",
    "beneficiaire_prenom": "Maëlle",
    "beneficiaire_naissance": "1992-04-17",
    "beneficiaire_adresse": "  12 RUE  DES ESSAIS ",
    "beneficiaire_code_postal": "76000",
    "beneficiaile_ville": "VILLE-ESSAI",
    "beneficiaire_telephone_mobile": "0600000000",
    "beneficiaire_pole_emploi_identifiant": "12345678901",
    "action_numero_convention": "CONV-2026-014",
    "date_transmission": "2026-03-25",
}


def file(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, delimiter=";", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def take(*rows: dict[str, str]):
    return Source(inbound_pos_w).take(file(*rows))


def test_the_fifty_columns_are_the_contract():
    assert len(COLUMNS) == 50
    assert {"beneficiaile_ville", "beneficaire_abandon_action_raison"} <= set(COLUMNS)


def test_sample_gives_one_request_one_reject_and_one_that_was_answered():
    drafts, rejects, decisions = Source(inbound_pos_w).take(SAMPLE)
    assert [draft.addressee for draft in drafts] == ["p-mob"]
    assert reasons(rejects) == [("unknown_convention", "action_numero_convention")]
    assert decisions[2].counts["dropped:already_answered"] == 1
    assert rejects[0].position.line == 3


def test_positioning_becomes_a_request_to_the_partner_behind_its_convention():
    draft = take(ROW)[0][0]
    assert draft.record == "MeasureRequested"
    assert draft.fields | {"measure_id": None} == {
        "measure_id": None,
        "type": "mobilite",
        "addressee": "p-mob",
        "prescriber": "p-cd",
        "reason_code": None,
        "expires_on": date(2026, 4, 15),
        "person_informed_on": None,
        "period": None,
        "funding_line": "PDI-3.1",
    }
    assert draft.observed_at == datetime(2026, 3, 25, 23, tzinfo=UTC)
    subject = draft.subject
    assert subject.address.lines == ("12 RUE DES ESSAIS",)
    assert (subject.sex, subject.webrsa_id, subject.france_travail_id) == ("F", "90001", "12345678901")
    assert draft.sensitive is None


def test_kind_of_a_sensitive_measure_is_in_the_sealed_block_only():
    draft = take(ROW | {"action_numero_convention": "CONV-2026-033"})[0][0]
    assert draft.sensitive == {"sensitive_type": "ecoute_psychologique"}
    assert "ecoute" not in str(draft.fields)


def test_free_texts_are_in_no_draft_and_no_memory():
    source = Source(inbound_pos_w)
    drafts, rejects, _ = source.take(file(ROW, ROW | {"identifiant_webrsa": "x"}))
    assert "SECRET" not in str(drafts) + str(rejects) + str(source.memory)


def test_same_fiche_again_is_no_news_also_within_a_file():
    source = Source(inbound_pos_w)
    assert len(source.take(file(ROW, ROW))[0]) == 1
    assert source.take(file(ROW | {"e_date_extraction": "2026-03-27"}))[0] == []


def test_new_day_of_transmission_corrects_the_request():
    source = Source(inbound_pos_w)
    first = source.take(file(ROW))[0][0]
    again = source.take(file(ROW | {"date_transmission": "2026-03-26"}))[0][0]
    assert again.corrects == {"key": first.key, "kind": "DATE_CORRECTED"}
    assert again.fields["measure_id"] == first.fields["measure_id"]


def test_fiche_moved_to_another_provider_is_a_humans_business():
    source = Source(inbound_pos_w)
    source.take(file(ROW))
    drafts, rejects, _ = source.take(file(ROW | {"action_numero_convention": "CONV-2026-033"}))
    assert (drafts, reasons(rejects)) == ([], [("convention_changed", "action_numero_convention")])


@pytest.mark.parametrize("column", ["beneficiaire_retenu", "beneficiaire_integre_action", "resultat_action"])
def test_fiche_that_the_provider_has_answered_is_not_asked_again(column):
    drafts, _, decisions = take(ROW | {column: "false"})
    assert (drafts, decisions[0].counts["dropped:already_answered"]) == ([], 1)


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"identifiant_webrsa": ""}, "not_an_id", "identifiant_webrsa"),
        ({"identifiant_webrsa": "0"}, "not_an_id", "identifiant_webrsa"),
        ({"identifiant_webrsa": "٤٢"}, "not_an_id", "identifiant_webrsa"),
        ({"beneficiaire_identifiant": "9" * 16}, "not_an_id", "beneficiaire_identifiant"),
        ({"beneficiaire_nom": " "}, "missing", "beneficiaire_nom"),
        ({"action_numero_convention": ""}, "missing", "action_numero_convention"),
        ({"beneficiaire_naissance": "17/04/1992"}, "not_a_date", "beneficiaire_naissance"),
        ({"beneficiaire_naissance": ""}, "not_a_date", "beneficiaire_naissance"),
        ({"date_transmission": "2026-02-30"}, "not_a_date", "date_transmission"),
        ({"beneficiaire_email": "a\x07b"}, "control_character", "beneficiaire_email"),
    ],
)
def test_wrong_row_is_rejected_alone_with_its_column(change, reason, field):
    drafts, rejects, _ = take(ROW | change, ROW | {"identifiant_webrsa": "4301"})
    assert reasons(rejects) == [(reason, field)]
    assert len(drafts) == 1


def test_row_with_too_few_cells_is_rejected_alone():
    data = (
        file(ROW) + b"2026-03-26;4302;;\r\n" + file(ROW | {"identifiant_webrsa": "4303"}).split(b"\r\n", 1)[1]
    )
    drafts, rejects, _ = Source(inbound_pos_w).take(data)
    assert (len(drafts), reasons(rejects)) == (2, [("wrong_cells", None)])


def test_without_day_of_transmission_the_extraction_counts():
    assert take(ROW | {"date_transmission": ""})[0][0].fields["expires_on"] == date(2026, 4, 16)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (file(ROW).replace(b"beneficiaile_ville", b"beneficiaire_ville"), "wrong_columns"),
        (file(ROW, columns=COLUMNS[:-1]), "wrong_columns"),
        (b"", "wrong_columns"),
        (file(ROW).decode().encode("cp1252"), "encoding"),
        (file(ROW) + b'"never closed;', "malformed"),
    ],
)
def test_file_that_is_no_pos_w_is_refused_as_a_whole(data, code):
    with pytest.raises(FileRefused) as refused:
        Source(inbound_pos_w).take(data)
    assert refused.value.code == code


def test_bom_is_no_column():
    assert len(Source(inbound_pos_w).take(b"\xef\xbb\xbf" + file(ROW))[0]) == 1


@given(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=3))
def test_any_damage_is_a_refusal_or_rejects_never_a_crash(at, noise):
    try:
        drafts, rejects, _ = Source(inbound_pos_w).take(SAMPLE[:at] + noise + SAMPLE[at + len(noise) :])
    except FileRefused:
        return
    assert len(drafts) + len(rejects) <= 4


# ------------------------------------------------------------------ the fiche's number in the request's id
@given(st.integers(1, 2**48 - 1))
def test_number_of_the_fiche_comes_back_from_the_id(number):
    made = measure_id(number, digest)
    assert (made.version, made.variant) == (8, "specified in RFC 4122")
    assert fiche_number(made) == fiche_number(str(made)) == number
    assert made == measure_id(number, digest)


@given(st.uuids())
def test_other_ids_have_no_number(identifier: UUID):
    assert fiche_number(identifier) is None or identifier.version == 8


def test_ids_of_two_territories_differ():
    assert measure_id(1, digest) != measure_id(1, lambda *parts: digest("other key", *parts))


@pytest.mark.parametrize("number", [0, -1, 2**48])
def test_number_that_does_not_fit_is_refused(number):
    with pytest.raises(ValueError, match="whole number"):
        measure_id(number, digest)


def test_text_that_is_no_id_has_no_number():
    assert fiche_number("not an id") is None
