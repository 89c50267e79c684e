"""A small territory, a context and readers for tests of the département's connector."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from hub.sdk.inbound import Context, Decision, Reject

SAMPLES = Path(__file__).parents[3] / "connectors" / "departement" / "samples"
NOW = datetime(2026, 3, 26, 7, 0, tzinfo=UTC)
SETTINGS = {"referential": str(SAMPLES / "referentiel.xml"), "profile": "carnet_25"}
CODES = {
    "structures": {
        "3": {"webrsa_id": "3", "partner": "p-cd", "organism": "CD"},
        "5": {"webrsa_id": "5", "partner": "p-ml", "organism": "ML"},
    },
    "actions": {
        "CONV-2026-014": {
            "partner": "p-mob",
            "measure_type": "mobilite",
            "expiry_days": 21,
            "funding_line": "PDI-3.1",
        },
        "CONV-2026-033": {"partner": "p-psy", "measure_type": "ecoute_psychologique", "expiry_days": 30},
    },
    "measure_types": {"mobilite": {"sensitive": False}, "ecoute_psychologique": {"sensitive": True}},
    "crosswalk": [
        {"casf": "pro", "webrsa": "EMPLOI"},
        {"casf": "socio_pro", "webrsa": "SOCIOPRO"},
        {"casf": "social", "webrsa": "SOCIAL"},
    ],
}


def digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


class Source:
    """One sender over several files: carries its memory as the hub does."""

    def __init__(self, reader: ModuleType, settings: dict[str, Any] | None = None) -> None:
        self.reader, self.settings = reader, SETTINGS | (settings or {})
        self.memory: dict = {}
        self.notices: list = []

    def take(self, data: bytes) -> tuple[list, list[Reject], list[Decision]]:
        """Read a whole file: drafts, rejects, decisions."""
        source = io.BytesIO(data)
        examined = self.reader.examine(source, self.settings)
        sender = {key: self.memory[key] for key in examined.memory_keys if key in self.memory}
        context = Context("76", NOW.date(), NOW, digest, examined.header, sender, self.settings, CODES, "f")
        self.notices = list(self.reader.begin(context))
        assert isinstance(self.reader.senders(context), list)
        drafts, rejects, decisions = [], [], []
        for record in self.reader.read(source, examined):
            if isinstance(record, Reject):
                rejects.append(record)
                continue
            known = {key: self.memory[key] for key in self.reader.keys(record) if key in self.memory}
            decision = self.reader.decide(known, record, context)
            assert decision == self.reader.decide(known, record, context), "decide is pure"
            self.memory |= decision.memory
            drafts += decision.drafts
            rejects += decision.rejects
            decisions.append(decision)
        self.memory |= self.reader.finish(context, examined)
        return drafts, rejects, decisions


def reasons(rejects: Iterable[Reject]) -> list[tuple[str, str | None]]:
    return [(reject.reason, reject.field) for reject in rejects]
