"""Files as a whole: what is refused, what is taken with a warning, and that nothing but one household is held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from io import BytesIO, RawIOBase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.caf.formats.blocks import CHUNK, MAX_BLOCK, pieces
from hub.dev.generate.cnaf import Family, Paper, Population, write_file
from hub.dev.generate.cnaf_shapes import all_shapes
from hub.sdk.inbound import FileRefused
from tests.connectors.caf.running import READER, Payers, written

DTREF = date(2026, 2, 28)
POPULATION = Population(4)
PLAIN = written([POPULATION.family("", POPULATION.person(entered="1")) for _ in range(3)])[0]


def refusal(data: bytes, **settings: object) -> str:
    with pytest.raises(FileRefused) as refused:
        Payers(**settings).read(data)
    assert str(refused.value)
    return refused.value.code


def warned(data: bytes, **settings: object) -> set[str]:
    return {warning.code for warning in Payers(**settings).read(data).warnings}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"PK\x03\x04zip", "not_cnaf"),
        (b"\x1f\x8b\x08gzip", "not_cnaf"),
        (b"nom;prenom\n", "not_cnaf"),
        (b"<html></html>", "not_cnaf"),
        (PLAIN.decode("cp1252").encode("utf-16"), "encoding_unsupported"),
        (PLAIN.replace(b"windows-1252", b"iso-8859-15"), "encoding_unsupported"),
        (PLAIN.replace(b"<Racine>", b'<!DOCTYPE Racine SYSTEM "file:///etc/passwd"><Racine>'), "doctype"),
        (PLAIN.replace(b"<Personne>", b'<!ENTITY a "b"><Personne>', 1), "doctype"),
        (PLAIN.replace(b"<Racine>", b"<!doctype x><Racine>"), "doctype"),
        (PLAIN.replace(b"<NATFLUX>D", b"<NATFLUX>I"), "wrong_flux"),
        (PLAIN.replace(b"<NATFLUX>D", b"<NATFLUX>R"), "wrong_flux"),
        (PLAIN.replace(b"<TYPEFLUX>M", b"<TYPEFLUX>X"), "header_invalid"),
        (PLAIN.replace(b"<DTREF>2026-02-28", b"<DTREF>28/02/2026"), "header_invalid"),
        (PLAIN.replace(b"IdentificationFlux>", b"Autre>"), "header_missing"),
        (PLAIN.replace(b"<APPLIEME>", b"<APPLIEME"), "header_invalid"),
        (PLAIN + PLAIN, "several_documents"),
        (PLAIN[: len(PLAIN) // 2], "truncated"),
        (PLAIN.replace(b"</Racine>", b""), "truncated"),
        (PLAIN.replace(b"</Racine>", b"<!-- </Racine> -->"), "truncated"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(data: bytes, code: str) -> None:
    assert refusal(data) == code


def test_ten_entities_that_would_grow_to_gigabytes_are_refused_unread() -> None:
    entities = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    assert refusal(PLAIN.replace(b"<Racine>", b"<!DOCTYPE r [" + entities + b"]><Racine>")) == "doctype"


def test_a_file_that_was_cut_off_is_taken_only_when_asked_and_its_last_household_is_rejected() -> None:
    cut = PLAIN[: PLAIN.rindex(b"<PrestationRSA>")]
    assert refusal(cut) == "truncated"
    report = Payers(accept_truncated=True).read(cut)
    assert {"truncated", "totals_missing"} <= {w.code for w in report.warnings}
    assert [(r.household, r.reason) for r in report.rejects] == [(3, "truncated")]
    assert report.events == {"NewRsaEntrant": 2}


@pytest.mark.parametrize("off_by", [-1, 1])
def test_a_wrong_trailer_is_a_warning_and_refused_when_strict(off_by: int) -> None:
    data = written([POPULATION.family()], paper=Paper(trailer_off_by=off_by))[0]
    assert warned(data) == {"totals_mismatch"}
    assert refusal(data, strict_totals=True) == "totals_mismatch"
    report = Payers().read(data)
    assert (report.totals.declared, report.totals.read) == (1 + off_by, 1)


def test_a_missing_trailer_is_a_warning_and_refused_when_strict() -> None:
    data = written([POPULATION.family()], paper=Paper(trailer=False))[0]
    assert warned(data) == {"totals_missing"}
    assert refusal(data, strict_totals=True) == "totals_missing"


def test_a_right_trailer_is_taken_when_strict() -> None:
    assert warned(PLAIN, strict_totals=True) == set()


def test_utf8_under_a_windows_label_is_read_as_utf8_and_reported() -> None:
    person = POPULATION.person(entered="1", name="BŒUF-ÉVRARD")
    data = written([POPULATION.family("", person)], paper=Paper("utf-8", "windows-1252"))[0]
    payers = Payers()
    assert {w.code for w in payers.read(data).warnings} == {"encoding_mislabelled"}
    assert payers.drafts[0].subject.name == "BŒUF-ÉVRARD"


def test_a_byte_order_mark_decides_where_no_household_has_an_accent() -> None:
    data = PLAIN.decode("cp1252").replace("Â", "A").encode("utf-8", "replace")
    plain = b"\xef\xbb\xbf" + data.decode().encode("ascii", "ignore")
    assert warned(plain) == {"encoding_mislabelled"}


def test_one_spoiled_byte_in_a_mislabelled_file_costs_one_household() -> None:
    families = [POPULATION.family("", POPULATION.person(entered="1", name="NOËL")) for _ in range(3)]
    data = written(families, paper=Paper("utf-8", "windows-1252"))[0]
    report = Payers().read(data.replace("NOËL".encode(), b"NO\xcbL", 1))
    assert [(r.household, r.reason) for r in report.rejects] == [(1, "invalid_bytes")]
    assert report.events == {"NewRsaEntrant": 2}


def test_windows_bytes_under_a_utf8_label_are_rejected_household_by_household() -> None:
    report = Payers().read(written([POPULATION.family()], paper=Paper("cp1252", "utf-8"))[0])
    assert [r.reason for r in report.rejects] == ["invalid_bytes"]
    assert "encoding_doubtful" in {w.code for w in report.warnings}


def test_a_byte_that_windows_1252_does_not_have_rejects_its_household() -> None:
    report = Payers().read(PLAIN.replace(b"<COMPLADR>", b"<COMPLADR>\x81", 1))
    assert [(r.household, r.reason) for r in report.rejects] == [(1, "invalid_bytes")]


def test_accents_and_ligatures_of_windows_1252_arrive_whole() -> None:
    person = POPULATION.person(entered="1", name="LEFÈVRE Œ Ÿ €")
    payers = Payers()
    payers.read(written([POPULATION.family("", person)])[0])
    assert payers.drafts[0].subject.name == "LEFÈVRE Œ Ÿ €"


def test_text_between_households_is_reported() -> None:
    assert warned(PLAIN.replace(b"</InfosFoyerRSA>", b"</InfosFoyerRSA>perdu", 1)) == {"stray_content"}


def test_a_misspelt_household_is_missed_by_the_trailer_and_reported() -> None:
    data = PLAIN.replace(b"InfosFoyerRSA>", b"InfosFoyer>", 2)
    assert warned(data) == {"stray_content", "totals_mismatch"}


def test_a_household_that_is_too_large_is_rejected_and_the_next_is_read() -> None:
    filling = b"<x>" + b"a" * (MAX_BLOCK + 2 * CHUNK) + b"</x>"
    report = Payers().read(PLAIN.replace(b"<Personne>", filling + b"<Personne>", 1))
    assert [(r.household, r.reason) for r in report.rejects] == [(1, "too_large")]
    assert report.events == {"NewRsaEntrant": 2}
    assert report.households == 3


def test_an_unclosed_comment_costs_the_household_it_stands_in() -> None:
    filling = b"<!-- oubli" + b"<NOM>"
    report = Payers().read(PLAIN.replace(b"<NOM>", filling, 1))
    assert [(r.household, r.reason) for r in report.rejects] == [(1, "malformed")]
    assert report.events == {"NewRsaEntrant": 2}


def test_an_empty_household_is_rejected() -> None:
    for empty in (b"<InfosFoyerRSA/>", b"<InfosFoyerRSA />", b"<InfosFoyerRSA></InfosFoyerRSA>"):
        report = Payers().read(PLAIN.replace(b"<InfosFoyerRSA>", empty + b"<InfosFoyerRSA>", 1))
        assert [(r.household, r.field) for r in report.rejects] == [(1, "IdentificationRSA")]


def test_a_file_without_households_is_taken() -> None:
    report = Payers().read(written([])[0])
    assert (report.households, report.payers, report.warnings) == (0, [], [])


def test_attributes_quotes_and_blanks_in_tags_change_nothing() -> None:
    data = PLAIN.replace(
        b"<InfosFoyerRSA>", b"<InfosFoyerRSA\n a='/>' b=\"</InfosFoyerRSA \" >".replace(b"</", b"")
    )
    data = data.replace(b"</InfosFoyerRSA>", b"</InfosFoyerRSA\n>").replace(b"<NOM>", b"<NOM xml:lang='fr'>")
    assert Payers().read(data).events == {"NewRsaEntrant": 3}


def test_a_namespace_for_all_changes_nothing() -> None:
    data = PLAIN.replace(b"<Racine>", b'<Racine xmlns="urn:fictif" xmlns:xsi="urn:autre" xsi:a="1">')
    data = data.replace(b"<NOM>", b"<NOM xsi:nil='false'>")
    assert Payers().read(data).events == {"NewRsaEntrant": 3}


def test_lines_are_counted_whatever_ends_them() -> None:
    for newline in (b"\n", b"\r\n", b"\r"):
        report = Payers().read(PLAIN.replace(b"\n", newline))
        assert [item.line for item in report.items] == [4, 5, 6]


def test_another_departement_is_a_warning_and_refused_when_the_partner_names_one() -> None:
    data = PLAIN.replace(b"<IDEPARTE>076", b"<IDEPARTE>079")
    assert warned(data) == {"other_departement"}
    assert refusal(data, departement="076") == "other_departement"
    assert warned(PLAIN, departement="76") == set()


# ---------------------------------------------------------------- cutting


@given(st.lists(st.sampled_from(["<Racine>", "</Racine>", "<InfosFoyerRSA>", "</InfosFoyerRSA>", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "<InfosFoyerRSA", "/>", ">", '"', "a", "\n", "<NOM>", "<TransmissionFlux>"]), max_size=40))  # fmt: skip
def test_cutting_never_fails_and_never_gives_a_household_twice(parts: list[str]) -> None:
    data = "".join(parts).encode()
    found = [piece for piece in pieces(BytesIO(data)) if piece.kind == "household" and piece.data]
    assert sum(len(piece.data) for piece in found) <= len(data)
    for piece in found:
        assert data.count(piece.data) >= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 3000), st.integers(0, 10**6))
def test_cutting_does_not_depend_on_how_the_bytes_arrive(size: int, seed: int) -> None:
    data = written(all_shapes(Population(seed), DTREF)[:12])[0]
    assert list(pieces(_Dripping(data, size))) == list(pieces(BytesIO(data)))


class _Dripping(BytesIO):
    """Gives at most `size` bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)


class _Endless(RawIOBase):
    """A file that goes on for as long as it is read."""

    def __init__(self) -> None:
        self._start, _, rest = PLAIN.partition(b"  <InfosFoyerRSA>")
        self._household = b"<InfosFoyerRSA>" + rest.partition(b"</InfosFoyerRSA>")[0] + b"</InfosFoyerRSA>\n"
        self.given = 0

    def seek(self, *_: int) -> int:
        return 0

    def read(self, size: int = -1, /) -> bytes:
        data = (self._start if not self.given else b"") + self._household * (size // len(self._household))
        self.given += len(data)
        return data


def test_households_are_given_while_the_file_is_still_being_read() -> None:
    examined = READER.examine(BytesIO(PLAIN), {})
    source = _Endless()
    reading = READER.read(source, examined)  # type: ignore[arg-type]
    for count in range(1, 1001):
        assert next(reading).position.ordinal == count
    assert source.given < 1000 * len(PLAIN) / 3 + 2 * CHUNK


def test_a_generated_file_of_any_size_is_written_as_a_stream() -> None:
    made = []

    def families() -> Iterator[Family]:
        for _ in range(3):
            made.append(out.tell())
            yield POPULATION.family()

    out = BytesIO()
    write_file(out, families(), "M", DTREF)
    assert made[0] < made[1] < made[2]


def test_the_time_of_writing_is_french_and_told_in_utc() -> None:
    examined = READER.examine(BytesIO(PLAIN), {})
    assert datetime.fromisoformat(examined.header["created"]) == datetime(2026, 3, 1, 0, 18, 36, tzinfo=UTC)
