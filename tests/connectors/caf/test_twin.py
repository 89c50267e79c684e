"""The CAF's twin writes the files that a CAF would, and remembers what it sent."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

from connectors.caf.twin import CafTwin
from hub.sdk.numbers import is_invented_nir
from tests.connectors.caf.running import Payers

MONDAY = date(2026, 3, 2)


def twin(folder: Path, **changes: object) -> CafTwin:
    return CafTwin(folder / "state", drop=folder / "drop", seed=5, **changes)  # type: ignore[arg-type]


def told(payers: Payers, path: Path) -> dict[str, int]:
    return payers.read(path.read_bytes(), path.name).events


def test_a_quarter_of_files_is_read_without_a_reject_and_what_happened_is_told(tmp_path: Path) -> None:
    caf, payers = twin(tmp_path), Payers(strict_totals=True)
    events: Counter[str] = Counter()
    for _ in range(90):
        assert caf.tick() == 1
        path = max((tmp_path / "drop").iterdir(), key=lambda path: path.name.rsplit(".", 2)[1])
        report = payers.read(path.read_bytes(), path.name)
        assert report.rejects == []
        events.update(report.events)
        assert all(is_invented_nir(draft.subject.nir or "") for draft in payers.drafts)
    assert set(events) == {
        "NewRsaEntrant",
        "RsaEntitlementChanged",
        "ContactChanged",
        "DepartmentTransferred",
    }
    assert events["NewRsaEntrant"] == sum(
        len(home.people) for home in caf.homes.values() if home.entered_on > caf.start
    )


def test_the_first_monthly_file_is_known_stock(tmp_path: Path) -> None:
    caf = twin(tmp_path)
    assert told(Payers(), caf.month(caf.start)) == {}


def test_each_thing_that_happens_is_told_once(tmp_path: Path) -> None:
    caf, payers = twin(tmp_path), Payers()
    told(payers, caf.month(caf.start))
    caf.suspend("0000001", MONDAY, "CG")
    caf.move("0000003", MONDAY)
    caf.leave("0000005", MONDAY)
    caf.claim(MONDAY)
    assert told(payers, caf.day(MONDAY)) == {
        "RsaEntitlementChanged": 2,
        "ContactChanged": 1,
        "DepartmentTransferred": 1,
        "NewRsaEntrant": 1,
    }
    assert told(payers, caf.month(date(2026, 3, 31))) == {}


def test_a_twin_that_was_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    caf = twin(tmp_path)
    for _ in range(5):
        caf.tick()
    caf.log.close()
    again = twin(tmp_path)
    assert (again.homes, again.last, again.last_month) == (caf.homes, caf.last, caf.last_month)
    again.tick()
    assert len(list((tmp_path / "drop").iterdir())) == 6
