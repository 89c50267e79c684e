"""Settings come from HUB_* and fall back to the embedded parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.settings import Settings


def test_nothing_set_means_embedded_parts_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HUB_HOME", "HUB_DATABASE_URL", "HUB_KAFKA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    found = Settings()
    assert (found.home, found.database_url, found.kafka) == (tmp_path / ".hub", None, None)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_database_url_is_given_to_asyncpg(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", f"{scheme}://hub:secret@db:5432/hub")
    assert Settings().database_url == "postgresql+asyncpg://hub:secret@db:5432/hub"


def test_a_wrong_database_url_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", "mysql://hub:secret@db/hub")
    with pytest.raises(ValidationError, match="must look like") as refused:
        Settings()
    assert "secret" not in str(refused.value)


def test_passwords_are_not_in_the_representation() -> None:
    assert "secret" not in repr(Settings(database_url="postgresql://hub:secret@db/hub"))
