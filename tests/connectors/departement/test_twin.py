"""The département's twin does what somebody types into it, and refuses what WebRSA would not know."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from connectors.departement.twin import DepartementTwin


@pytest.fixture
def twin(tmp_path: Path) -> DepartementTwin:
    made = DepartementTwin(tmp_path, every=None, share=0.0)
    columns = made.profile.actions["entrants"].columns
    line = {column.header: "" for column in columns} | {
        "Identifiant dans le SI": "ref-1",
        "Prénom": "Zoé",
        "Nom": "FICTIVE",
        "Date de naissance": "06/05/2004",
    }
    separator = made.profile.separator
    text = "\n".join(separator.join(cells) for cells in (line.keys(), line.values())) + "\n"
    (made.folder / "entrants.csv").write_bytes(text.encode(made.profile.encoding))
    made.tick()
    return made


async def test_an_orientation_and_a_fiche_typed_in_leave_with_the_next_export(twin: DepartementTwin) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(twin.app), base_url="http://webrsa.invalid"
    ) as keyboard:
        (person,) = (await keyboard.get("/personnes")).json()
        assert person["born"] == "2004-05-06"
        assert len(person["structures"]) == 1
        number = person["person"]
        answer = await keyboard.post("/orientations", json={"person": number, "structure": "5"})
        assert (answer.status_code, answer.json()) == (201, {"rank": 2})
        answer = await keyboard.post("/fiches", json={"person": number, "convention": "CONV-2026-033"})
        assert answer.status_code == 201
        for path, said in (
            ("/orientations", {"person": 1, "structure": "5"}),
            ("/orientations", {"person": number, "structure": "99"}),
            ("/fiches", {"person": number, "convention": "CONV-0000-000"}),
        ):
            assert (await keyboard.post(path, json=said)).status_code == 422
        assert (await keyboard.post("/fiches", content=b"{")).status_code == 400
    before = {path.name for path in twin.exports.iterdir()}
    assert twin.tick() == 2
    new = sorted({path.name for path in twin.exports.iterdir()} - before)
    assert [name.split("_")[0] for name in new] == ["POS", "export"]
