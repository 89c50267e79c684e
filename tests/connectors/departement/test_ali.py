"""WebRSA-ALI exports: what is news becomes a draft, what was said is not said again, damage is refused or rejected."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.departement import inbound_ali
from hub.sdk.inbound import FileRefused
from tests.connectors.departement.world import SAMPLES, SETTINGS, Source, reasons

SAMPLE = (SAMPLES / "export_webrsa_ali_1_diff_2026-03-26_06-00-00.xml").read_bytes()


def export(*dossiers: str, at: str = "2026-03-26 06:00:00", stock: bool = False) -> bytes:
    return (
        f"<WebRSA-ALI><entete><date_generation>{at}</date_generation><id_structure_ali>1</id_structure_ali>"
        f"<libelle_ali>x</libelle_ali><fichier_stock>{str(stock).lower()}</fichier_stock></entete>"
        f"<dossiers>{''.join(dossiers)}</dossiers></WebRSA-ALI>"
    ).encode()


def orientation(number: int = 502, on: str = "2026-03-20", kind: str = "2", structure: str = "5", rank: int = 1, status: str = "1") -> str:  # fmt: skip
    return (
        f"<orientation><id_orient_webrsa>{number}</id_orient_webrsa><date_orient>{on}</date_orient>"
        f"<statut_orient>{status}</statut_orient><type_orient>{kind}</type_orient><rang_orient>{rank}</rang_orient>"
        f"<structure_referente>{structure}</structure_referente></orientation>"
    )


def referent(structure: str = "5", starts: str = "2026-03-23", ends: str = "", who: str = "17") -> str:
    end = f"<date_fin_designation>{ends}</date_fin_designation>" if ends else ""
    who = f"<id_referent>{who}</id_referent>" if who else ""
    return (
        f"<referent_parcours><id_structure_referente>{structure}</id_structure_referente>{who}"
        f"<date_debut_designation>{starts}</date_debut_designation>{end}</referent_parcours>"
    )


def dossier(*, orientations: str = "", referents: str = "", contacts: str = "", person: int = 90001, street: str = "RUE A") -> str:  # fmt: skip
    return (
        f"<dossier><id_personne>{person}</id_personne><allocataire><civilite>2</civilite><nom>ESSAI</nom>"
        "<prenom>Lou</prenom><numero_caf>345146</numero_caf><date_naissance>1992-04-17</date_naissance>"
        f"<nom_voie>{street}</nom_voie><code_postal>4000</code_postal><ville>ICI</ville></allocataire>"
        f"<referents_parcours>{referents}</referents_parcours><modes_contact>{contacts}</modes_contact>"
        f"<orientations>{orientations}</orientations></dossier>"
    )


def records(drafts) -> list[str]:
    return [draft.record for draft in drafts]


# ------------------------------------------------------------------ the sample
def test_sample_gives_the_newest_decision_and_the_open_referent():
    drafts, rejects, _ = Source(inbound_ali).take(SAMPLE)
    decided, referent_ = drafts
    assert decided.fields | {"decision_id": None} == {
        "decision_id": None,
        "parcours": "SOCIO_PRO",
        "organism": "ML",
        "structure": "p-ml",
        "decided_on": date(2026, 3, 20),
        "decider": "PCD",
        "proposal_outcome": "NONE",
        "proposal_refused_reason": None,
        "rank": 2,
        "default_reason": None,
    }
    assert (referent_.fields["structure"], referent_.fields["scope"]) == ("p-ml", "UNIQUE")
    assert referent_.extra_person == {
        "referent": {"name": "Camille FICTIF", "phone": "+33261910099", "email": "camille.fictif@example.org"}
    }
    assert decided.observed_at == datetime(2026, 3, 26, 5, tzinfo=UTC)
    assert reasons(rejects) == [
        ("unknown_id", "type_orient"),
        ("structure_not_mapped", "structure_referente"),
        ("not_an_id", "id_personne"),
    ]


def test_numbers_get_their_leading_zeros_back():
    subject = Source(inbound_ali).take(SAMPLE)[0][0].subject
    assert subject.matricule == ("", "", "0345146")
    assert subject.address.postal_code == "04000"
    assert subject.address.lines == ("12 RUE DES ESSAIS",)
    assert (subject.sex, subject.webrsa_id, subject.own_key) == ("F", "90001", ("webrsa", "90001"))


def test_same_export_again_is_no_news():
    source = Source(inbound_ali)
    source.take(SAMPLE)
    drafts, _, decisions = source.take(SAMPLE)
    assert drafts == []
    assert decisions[0].counts["unchanged"] == 1


# ------------------------------------------------------------------ orientations
def test_orientations_of_a_known_person_are_all_told_in_order():
    source = Source(inbound_ali)
    source.take(export(dossier(orientations=orientation(1, "2026-01-05", rank=1))))
    later = orientation(1, "2026-01-05", rank=1) + orientation(3, "2026-03-10", "1", rank=3) + orientation(2, "2026-02-10", "31", rank=2)  # fmt: skip
    drafts, _, _ = source.take(export(dossier(orientations=later)))
    assert [(d.fields["rank"], d.fields["parcours"]) for d in drafts] == [(2, "SOCIAL"), (3, "PRO")]


def test_older_orientations_of_a_person_never_seen_are_history():
    source = Source(inbound_ali)
    both = orientation(1, "2026-01-05", rank=1) + orientation(2, "2026-02-10", rank=2)
    assert [d.fields["rank"] for d in source.take(export(dossier(orientations=both)))[0]] == [2]
    assert source.take(export(dossier(orientations=both)))[0] == []


@pytest.mark.parametrize(
    ("change", "kind"), [({"on": "2026-03-21"}, "DATE_CORRECTED"), ({"kind": "1"}, "ENTERED_IN_ERROR")]
)
def test_changed_orientation_corrects_the_earlier_one(change, kind):
    source = Source(inbound_ali)
    first = source.take(export(dossier(orientations=orientation())))[0][0]
    changed = source.take(export(dossier(orientations=orientation(**change))))[0][0]
    assert changed.corrects == {"key": first.key, "kind": kind}
    assert changed.key != first.key
    assert changed.fields["decision_id"] == first.fields["decision_id"]


@pytest.mark.parametrize("status", ["2", "7"])
def test_only_what_is_decided_is_a_decision(status):
    drafts, rejects, _ = Source(inbound_ali).take(export(dossier(orientations=orientation(status=status))))
    assert drafts == []
    assert reasons(rejects) == ([] if status == "2" else [("unknown_code", "statut_orient")])


@pytest.mark.parametrize(
    ("bad", "reason", "field"),
    [
        ({"kind": "888"}, "unknown_id", "type_orient"),
        ({"kind": "40"}, "unknown_code", "type_orient"),
        ({"structure": "77"}, "unknown_id", "structure_referente"),
        ({"structure": "99"}, "structure_not_mapped", "structure_referente"),
        ({"on": "2026-03-27"}, "date_in_future", "date_orient"),
        ({"on": "20/03/2026"}, "not_a_date", "date_orient"),
        ({"status": "88"}, "unknown_id", "statut_orient"),
        ({"rank": "x"}, "not_an_id", "rang_orient"),
    ],
)
def test_one_wrong_orientation_is_rejected_and_the_rest_is_taken(bad, reason, field):
    source = Source(inbound_ali)
    drafts, rejects, _ = source.take(
        export(dossier(orientations=orientation(**bad), referents=referent()), dossier(person=90002, orientations=orientation(9)))
    )  # fmt: skip
    assert records(drafts) == ["ReferentDesignated", "OrientationDecided"]
    assert reasons(rejects) == [(reason, field)]


def test_rejected_orientation_is_tried_again_when_the_tables_know_it():
    data = export(dossier(orientations=orientation(kind="40")))
    source = Source(inbound_ali)
    assert source.take(data)[0] == []
    source.settings["types_orientation"] = {"40": "SOCIAL"}
    assert source.take(data)[0][0].fields["parcours"] == "SOCIAL"


# ------------------------------------------------------------------ référents
def test_end_of_a_mandate_is_told_before_the_next_one():
    source = Source(inbound_ali)
    source.take(export(dossier(referents=referent("3", "2026-01-02", who=""))))
    drafts, _, _ = source.take(
        export(
            dossier(referents=referent("5", "2026-03-23") + referent("3", "2026-01-02", "2026-03-22", who=""))
        )
    )
    assert [(d.fields["structure"], d.fields["ends_on"]) for d in drafts] == [
        ("p-cd", date(2026, 3, 22)),
        ("p-ml", None),
    ]
    assert drafts[0].extra_person == {"referent": None}


def test_mandate_that_was_over_when_first_seen_is_history():
    assert (
        Source(inbound_ali).take(export(dossier(referents=referent("3", "2025-01-02", "2025-12-31"))))[0]
        == []
    )


@pytest.mark.parametrize(
    ("bad", "reason", "field"),
    [
        ({"who": "99"}, "unknown_id", "id_referent"),
        ({"ends": "2026-03-01"}, "ends_before_start", "date_fin_designation"),
        ({"structure": "99"}, "structure_not_mapped", "id_structure_referente"),
    ],
)
def test_wrong_mandate_is_rejected_alone(bad, reason, field):
    drafts, rejects, _ = Source(inbound_ali).take(
        export(dossier(referents=referent(**bad), orientations=orientation()))
    )
    assert records(drafts) == ["OrientationDecided"]
    assert reasons(rejects) == [(reason, field)]


# ------------------------------------------------------------------ contacts
PHONE = "<telephone_1>{}</telephone_1><modif_telephone_1>2026-03-25 10:00:00</modif_telephone_1>"


def test_contact_seen_first_is_no_change_and_a_changed_one_is():
    source = Source(inbound_ali)
    assert source.take(export(dossier(contacts=PHONE.format("0600000001"))))[0] == []
    drafts, _, _ = source.take(export(dossier(contacts=PHONE.format("0600000002"), street="RUE B")))
    assert [d.fields["channel"] for d in drafts] == ["PHONE", "ADDRESS"]
    phone, address = (d.subject for d in drafts)
    assert (phone.phones, phone.address) == (("0600000002",), None)
    assert (address.phones, address.address.lines) == ((), ("RUE B",))
    assert drafts[0].fields["modified_at"] == datetime(2026, 3, 25, 9, tzinfo=UTC)
    assert drafts[1].fields["modified_at"] is None


def test_memory_holds_no_contact_in_clear():
    source = Source(inbound_ali)
    source.take(SAMPLE)
    kept = str(source.memory)
    for personal in ("GARÇON", "Maëlle", "0639980001", "maelle@", "2920499999123", "DES ESSAIS", "FICTIF"):
        assert personal not in kept


# ------------------------------------------------------------------ the file as a whole
def test_whole_file_that_comes_first_is_remembered_and_not_sent():
    source = Source(inbound_ali)
    whole = export(dossier(orientations=orientation(), referents=referent()), stock=True)
    drafts, _, decisions = source.take(whole)
    assert (drafts, decisions[0].counts["stock"], source.notices[0].code) == ([], 1, "baseline")
    assert source.take(export(dossier(orientations=orientation(), referents=referent())))[0] == []
    more = orientation() + orientation(503, "2026-03-25", rank=2)
    assert [d.fields["rank"] for d in source.take(export(dossier(orientations=more)))[0]] == [2]


def test_whole_file_after_others_tells_what_is_new():
    source = Source(inbound_ali)
    source.take(export(dossier(orientations=orientation())))
    drafts, _, _ = source.take(export(dossier(person=2, orientations=orientation(7)), stock=True))
    assert records(drafts) == ["OrientationDecided"]


def test_older_export_of_an_operator_is_refused():
    source = Source(inbound_ali)
    source.take(export(dossier(), at="2026-03-26 06:00:00"))
    with pytest.raises(FileRefused) as refused:
        source.take(export(dossier(), at="2026-03-25 06:00:00"))
    assert refused.value.code == "older_file"


@pytest.mark.parametrize("path", ["", "/nowhere/referentiel.xml"])
def test_without_referential_no_export_is_read(path):
    with pytest.raises(FileRefused) as refused:
        Source(inbound_ali, {"referential": path}).take(SAMPLE)
    assert refused.value.code == "referential_missing"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda d: d[: len(d) // 2], "not_well_formed"),
        (lambda d: d.replace(b"</dossiers>", b""), "not_well_formed"),
        (lambda d: d.replace(b"WebRSA-ALI>", b"ALI-WebRSA>"), "wrong_root"),
        (lambda d: b'<!DOCTYPE x [<!ENTITY a "b">]>' + d.split(b"?>")[1], "doctype"),
        (lambda d: d.decode().encode("utf-16"), "encoding"),
        (lambda d: d.replace(b"GAR", b"G\x00R"), "encoding"),
        (lambda d: d.replace("GARÇON".encode(), b"GAR\xc7ON"), "not_well_formed"),
        (lambda d: d.replace(b"2026-03-26 06:00:00", b"26/03/2026"), "header"),
        (lambda d: d.replace(b"<fichier_stock>false", b"<fichier_stock>peut-etre"), "header"),
        (lambda d: re.sub(rb"<entete>.*?</entete>", b"", d, flags=re.S), "header_missing"),
        (lambda d: d.replace(b"GAR", b"&bad;"), "not_well_formed"),
        (lambda d: b"", "not_well_formed"),
    ],
)
def test_damaged_file_is_refused_as_a_whole_with_a_code(damage, code):
    source = Source(inbound_ali)
    with pytest.raises(FileRefused) as refused:
        source.take(damage(SAMPLE))
    assert refused.value.code == code
    assert source.memory == {}


@given(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=3))
def test_any_damage_is_a_refusal_or_rejects_never_a_crash(at, noise):
    damaged = SAMPLE[:at] + noise + SAMPLE[at + len(noise) :]
    try:
        drafts, rejects, _ = Source(inbound_ali).take(damaged)
    except FileRefused:
        return
    assert len(drafts) <= 4
    assert all(reject.reason for reject in rejects)


def test_rejects_repeat_no_value():
    secret = SAMPLE.replace(b"pas-un-nombre", b"MARTIN-SECRET")
    _, rejects, _ = Source(inbound_ali).take(secret)
    assert "SECRET" not in str(rejects)
    assert SETTINGS["referential"] not in str(rejects)
