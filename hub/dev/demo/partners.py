"""The example partners of a territory at the twins' addresses, with windows and polls of a second or two, as a partners file.

Written to HUB_HOME/partners.toml and applied from there, so that it can be read, changed and applied again.
"""

from __future__ import annotations

import json
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

#: A second CAF of the territory, whose files arrive in a folder.
DAILY_CAF = "p7605"
_SECOND_CAF: dict[str, list[dict[str, Any]]] = {
    "organisations": [
        {"id": "o7605", "siret": "99999720800015", "kind": "caf", "name": "CAF du Havre (exemple)"}
    ],
    "partners": [{"id": DAILY_CAF, "organisation": "o7605", "connector": "caf"}],
}
_QUICK = {"deadline": 20.0, "settles_within": 10.0}


def write(example: Path, home: Path, urls: Mapping[str, str], today: date) -> Path:
    """Write ``partners.toml`` below `home` from the territory's example; `urls` are the twins' by connector."""
    document = tomllib.loads(example.read_text(encoding="utf-8"))
    for table, entries in _SECOND_CAF.items():
        document[table] += entries
    for partner in document["partners"]:
        partner["settings"] = _settings(partner, home / "twins", urls)
        partner["secrets"] = {
            name: f"file:{_secret(home, partner['id'], name)}" for name in partner.get("secrets", {})
        }
    for agreement in document["agreements"]:
        agreement["end"] = max(agreement["end"], date(today.year + 1, 12, 31))
    path = home / "partners.toml"
    path.write_text("\n".join(_toml(document)) + "\n", encoding="utf-8")
    return path


def _settings(partner: Mapping[str, Any], twins: Path, urls: Mapping[str, str]) -> dict[str, Any]:
    connector = partner["connector"]
    base = twins / connector
    folders = {"folder": str(base / "depot"), "archive": str(base / "archive")}
    match connector:
        case "departement":
            exports = base / "exports"
            files = {"inbox": str(exports), "referential": str(exports / "referentiel.xml")}
            return folders | files | _QUICK | {"window": "1 s"}
        case "mission_locale":
            return folders | _QUICK | {"window": "1 s"}
        case "france_travail":
            url = urls[connector]
            own = {"url": f"{url}/partenaire", "token_url": f"{url}/connexion/oauth2/access_token"}
            return dict(partner["settings"]) | own | _QUICK | {"rate": 20.0}
        case "structure":
            return {"url": f"{urls[connector]}/s/{partner['id']}", "poll_every": "1 s"} | _QUICK
        case _:
            inbox = {"inbox": str(base / "drop")} if partner["id"] == DAILY_CAF else {}
            return {"departement": "076"} | inbox


def _secret(home: Path, partner: str, name: str) -> Path:
    """An invented secret in a file of its own."""
    path = home / "secrets" / f"{partner}.{name}"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(secrets.token_urlsafe(16) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def _toml(document: Mapping[str, Any]) -> Iterator[str]:
    yield "# Written by hub demo: invented organisations at the addresses of its twins."
    yield f"territory = {_value(document['territory'])}"
    for table in ("organisations", "partners", "agreements"):
        for entry in document[table]:
            yield f"\n[[{table}]]"
            yield from (f"{name} = {_value(value)}" for name, value in entry.items())


def _value(value: Any) -> str:
    """A TOML value on one line: a JSON string, number, boolean or list is one too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(item)}" for name, item in value.items()) + " }"
    return value.isoformat() if isinstance(value, date) else json.dumps(value, ensure_ascii=False)
