"""`hub territory`, `hub partner`, `hub privacy` over a store kept in memory."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli import partner, privacy, territory
from hub.rights import store
from hub.rights.changes import diff
from hub.rights.configuration import Configuration, Partners, combine
from hub.rights.store import Applied, NotConfigured, PartnerStatus
from hub.rights.territory import Territory
from hub.sdk.manifest import discover

ROOT = Path(__file__).resolve().parents[2]
FOLDER = str(ROOT / "territories" / "76")
STRUCTURES = """
territory = "76"
[[organisations]]
id = "o1"
siret = "99999765300012"
kind = "structure"
name = "Chantier (exemple)"
[[partners]]
id = "p1"
organisation = "o1"
connector = "structure"
settings = { url = "https://structure.invalid" }
secrets = { api_key = "sealed:c2VjcmV0" }
[[agreements]]
id = "a1"
organisation = "o1"
records = ["MeasureRequested"]
purpose = "Answer the requests addressed to it"
legal_basis = "CASF L.263-4-1"
start = 2025-01-01
end = 2099-12-31
case_number = "CONV-1"
"""


class MemoryStore:
    """The store's functions, in memory."""

    def __init__(self) -> None:
        self.version, self.configuration = 0, None
        self.pauses: dict[str, tuple[str, datetime, str]] = {}

    async def apply_configuration(self, _: object, document: Territory | Partners, author: str) -> Applied:
        after = combine(self.configuration, document)
        changes = diff(self.configuration, after)
        if changes:
            self.version, self.configuration = self.version + 1, after
        return Applied(self.version, changes)

    async def current(self, _: object, territory: str) -> tuple[int, Configuration]:
        if self.configuration is None:
            raise NotConfigured(
                f"territory {territory} is not configured: run `hub territory apply FOLDER` first"
            )
        return self.version, self.configuration

    async def territories(self, _: object) -> list[str]:
        return [self.configuration.territory.id] if self.configuration else []

    async def partners(self, _: object, territory: str | None = None) -> list[PartnerStatus]:
        return [
            PartnerStatus(
                p.id, p.organisation, self.configuration.kind_of(p.id), p.connector, True, False,
                [{"kind": "person", "reason": r, "until": u} for i, (r, u, _) in self.pauses.items() if i == p.id], 1, 0, 2,
            )
            for p in self.configuration.partners
        ]  # fmt: skip

    async def pause(self, _: object, partner: str, reason: str, until: datetime, who: str) -> None:
        if self.configuration.partner(partner) is None:
            raise NotConfigured(f"there is no partner {partner}; `hub partner list` shows those there are")
        self.pauses[partner] = (reason, until, who)

    async def resume(self, _: object, partner: str, who: str) -> list[str]:
        return ["person"] if self.pauses.pop(partner, None) else []


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    kept = MemoryStore()
    for name in ("apply_configuration", "current", "territories", "partners", "pause", "resume"):
        monkeypatch.setattr(store, name, getattr(kept, name))
    app = SimpleNamespace(database=None, connectors=discover(ROOT / "connectors"))
    for module in (territory, partner, privacy):
        monkeypatch.setattr(module, "with_database", lambda work: asyncio.run(work(app)))
    return kept


@pytest.fixture
def structures(tmp_path: Path) -> str:
    path = tmp_path / "partners.toml"
    path.write_text(STRUCTURES, "utf-8")
    return str(path)


def hub(app: Any, *arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == code, found.output
    return found


def as_json(app: Any, *arguments: str) -> dict[str, Any]:
    return json.loads(hub(app, *arguments, "--json").stdout)


def test_applying_a_folder_prints_its_changes_and_again_nothing(memory: MemoryStore) -> None:
    first = hub(territory.app, "apply", FOLDER)
    assert "+ territory.measure_types.aci@2021-02-01.expiry_days = 60" in first.stdout
    assert "version 1: " in first.stderr
    assert as_json(territory.app, "apply", FOLDER)["changes"] == []
    assert memory.version == 1


def test_a_dry_run_shows_the_same_changes_and_applies_none(memory: MemoryStore) -> None:
    shown = as_json(territory.app, "apply", FOLDER, "--dry-run")
    assert (shown["applied"], memory.version) == (False, 0)
    assert shown["changes"] == as_json(territory.app, "apply", FOLDER)["changes"]


def test_a_mistake_is_said_and_nothing_is_applied(memory: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "territory.toml").write_text('id = "7"', "utf-8")
    found = hub(territory.app, "apply", str(tmp_path), code=1)
    assert "territory.toml: id: " in found.stderr
    assert memory.version == 0


def test_show_gives_the_version_in_force_with_sealed_secrets_masked(
    memory: MemoryStore, structures: str
) -> None:
    hub(territory.app, "apply", FOLDER)
    hub(partner.app, "apply", structures)
    shown = as_json(territory.app, "show")
    assert (shown["version"], shown["territory"]["id"]) == (2, "76")
    assert shown["partners"][0]["secrets"] == {"api_key": "sealed:…"}
    assert "ecoute_psychologique" in hub(territory.app, "show").stdout


def test_show_without_a_territory_says_what_to_do(memory: MemoryStore) -> None:
    assert "configured: none" in hub(territory.app, "show", code=2).stderr
    assert "hub territory apply" in hub(territory.app, "show", "--territory", "76", code=1).stderr


def test_partners_need_their_territory_first(memory: MemoryStore, structures: str) -> None:
    assert "run `hub territory apply` first" in hub(partner.app, "apply", structures, code=1).stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('connector = "structure"', 'connector = "telepathy"', "connector: there is no 'telepathy'"),
        ('"https://structure.invalid"', '"structure"', "settings.url: must be an http(s) address"),
        ('"https://structure.invalid"', "7", "settings.url: must be a url, not int"),
        ("settings = {", 'settings = { api_key = "x",', "settings.api_key: is a secret"),
        ("settings = {", "settings = { speed = 1,", "settings.speed: structure has no such setting"),
        ("secrets = { api_key", "secrets = { password", "secrets.api_key: is required"),
        ('"sealed:c2VjcmV0"', '"c2VjcmV0"', "write where the secret is kept"),
    ],
)
def test_a_partner_that_cannot_run_is_refused_by_key(
    memory: MemoryStore, tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in STRUCTURES
    path = tmp_path / "partners.toml"
    path.write_text(STRUCTURES.replace(old, new), "utf-8")
    hub(territory.app, "apply", FOLDER)
    assert said in hub(partner.app, "apply", str(path), code=1).stderr
    assert memory.version == 1


def test_a_pause_has_a_reason_and_an_end_and_is_listed(memory: MemoryStore, structures: str) -> None:
    hub(territory.app, "apply", FOLDER)
    hub(partner.app, "apply", structures)
    assert hub(partner.app, "pause", "p1", "--reason", "works", code=2).exit_code == 2
    hub(partner.app, "pause", "p1", "--reason", "works", "--until", "2026-05-01T08:00")
    reason, until, who = memory.pauses["p1"]
    assert (reason, until.isoformat()) == ("works", "2026-05-01T08:00:00+02:00")
    assert who
    assert "paused (person): works" in hub(partner.app, "list").stdout
    assert as_json(partner.app, "list")["partners"][0]["waiting"] == 1
    assert as_json(partner.app, "resume", "p1")["lifted"] == ["person"]
    assert "was not paused" in hub(partner.app, "resume", "p1").stderr


def test_pausing_a_stranger_is_refused(memory: MemoryStore) -> None:
    hub(territory.app, "apply", FOLDER)
    said = hub(partner.app, "pause", "p9", "--reason", "x", "--until", "2026-05-01", code=1).stderr
    assert "there is no partner p9" in said


def test_the_matrix_names_recipient_field_purpose_and_basis(memory: MemoryStore, structures: str) -> None:
    hub(territory.app, "apply", FOLDER)
    hub(partner.app, "apply", structures)
    page = hub(privacy.app, "matrix", "--on", "2026-04-15").stdout
    assert "## structure, connector structure\n\n- Chantier (exemple) (p1): CONV-1 until 2099-12-31\n" in page
    row = next(line for line in page.splitlines() if line.startswith("| MeasureRequested"))
    assert "addressed to it" in row
    assert "person (birth_name, email, first_names, name, phones)" in row
    assert "CASF L.263-4-1" in row
    assert "sensitive" not in row
    lines = {line["record"]: line for line in as_json(privacy.app, "matrix", "--on", "2026-04-15")["lines"]}
    assert lines["MeasureRequested"]["until"] == "2099-12-31"
    assert lines["ContactChanged"]["why_not"] == "no agreement in force"
    before = as_json(privacy.app, "matrix", "--on", "2024-12-31")["lines"]
    assert {line["why_not"] for line in before} == {"no agreement in force"}
