"""`hub import` with a database: kept, compared with by the next dry run, refused where nothing is configured."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from hub.app import App
from hub.rights.configuration import Partners
from hub.rights.files import load_territory
from hub.rights.store import apply_configuration
from hub.settings import Settings
from tests.rights import world

ROOT = Path(__file__).parents[2]
MONTHLY = ROOT / "connectors" / "caf" / "samples" / "CG076.RSABEM.202602.xml"
DAILY = ROOT / "connectors" / "caf" / "samples" / "CG076.RSABEI.20260304.xml"
CAF = Partners.model_validate(
    {
        "territory": "76",
        "organisations": [{"id": "o1", "siret": world.invented_siret(1), "kind": "caf", "name": "CAF"}],
        "partners": [
            {"id": "p1", "organisation": "o1", "connector": "caf", "settings": {"departement": "076"}}
        ],
    }
)


async def hub(home: Path, database: str, *arguments: object) -> tuple[int, Any, str]:
    """Exit code, JSON on stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "import", "caf", *map(str, arguments), "--json",
        env={**os.environ, "HUB_HOME": str(home), "HUB_DATABASE_URL": database},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out) if out else None, err.decode()


async def test_what_was_imported_is_what_the_next_dry_run_compares_with(
    database: str, tmp_path: Path
) -> None:
    app = App(Settings(home=tmp_path, database_url=database))
    try:
        await app.prepare()
        await app.desk_ready()
        code, _, err = await hub(tmp_path, database, MONTHLY, "--territory", "76")
        assert code == 1
        assert "territory 76 is not configured" in err
        await apply_configuration(app.database, load_territory(ROOT / "territories" / "76"), "test")
        await apply_configuration(app.database, CAF, "test")
    finally:
        await app.close()
    code, kept, err = await hub(tmp_path, database, MONTHLY)
    assert (code, kept and kept["events"]) == (0, {"DepartmentTransferred": 1, "NewRsaEntrant": 2}), err
    code, said, err = await hub(tmp_path, database, DAILY, "--dry-run")
    assert said["payers"] == [
        {"fonorg": "CAF", "numorg": "761", "baseline": False, "previous_dtref": "2026-02-28"}
    ]
    assert [item["rules"] for item in said["items"]] == [["FG", "TOP", "DIFF"], ["FG", "DIFF"]]
    code, kept, err = await hub(tmp_path, database, DAILY)
    assert (code, kept) == (0, said), err
    other = tmp_path / "autre.xml"
    other.write_bytes(DAILY.read_bytes().replace(b"<IDEPARTE>076", b"<IDEPARTE>079"))
    code, refused, err = await hub(tmp_path, database, other, "--territory", "76", "--dry-run")
    assert (code, refused["refused"]["code"]) == (1, "other_departement")
