"""Kafka's jars come whole and as listed, or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hub.dev.embedded import artifacts
from hub.settings import Settings

JAR = b"the bytes of a jar"
PLACE = "org/example/thing/1.0/thing-1.0.jar"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """(folder, address) of a Maven repository on loopback."""
    root = tmp_path / "mirror"
    (root / PLACE).parent.mkdir(parents=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def settings(tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    listing = tmp_path / "kafka.sha256"
    listing.write_text(f"# a list\n{hashlib.sha256(JAR).hexdigest()} {len(JAR)} org.example:thing:1.0\n")
    monkeypatch.setattr(artifacts, "LIST", listing)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return Settings(cache=tmp_path / "cache", maven_mirror=mirror[1])


def test_jars_are_fetched_once_and_found_again(settings: Settings, mirror: tuple[Path, str]) -> None:
    (mirror[0] / PLACE).write_bytes(JAR)
    folder = artifacts.fetch(settings)
    assert [file.name for file in folder.iterdir()] == ["thing-1.0.jar"]
    assert artifacts.damaged(folder) == []
    (mirror[0] / PLACE).unlink()
    assert artifacts.fetch(settings) == folder
    assert list(settings.cache.iterdir()) == [folder]


def test_other_bytes_than_listed_are_refused_and_not_kept(
    settings: Settings, mirror: tuple[Path, str]
) -> None:
    (mirror[0] / PLACE).write_bytes(JAR[::-1])
    with pytest.raises(artifacts.PartFailed, match=r"thing-1\.0\.jar.*Nothing was kept"):
        artifacts.fetch(settings)
    assert list(settings.cache.iterdir()) == []


def test_an_impossible_download_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(artifacts.PartFailed, match=r"could not be downloaded.*HUB_MAVEN_MIRROR.*HUB_KAFKA"):
        artifacts.fetch(settings)
    assert list(settings.cache.iterdir()) == []


def test_a_damaged_jar_is_noticed_and_a_short_one_replaced(
    settings: Settings, mirror: tuple[Path, str]
) -> None:
    (mirror[0] / PLACE).write_bytes(JAR)
    folder = artifacts.fetch(settings)
    (folder / "thing-1.0.jar").write_bytes(JAR[::-1])
    assert artifacts.damaged(folder) == ["thing-1.0.jar"]
    (folder / "thing-1.0.jar").write_bytes(JAR[:5])
    assert artifacts.damaged(artifacts.fetch(settings)) == []


def test_the_shipped_list_names_each_jar_once() -> None:
    listed = artifacts.listed()
    assert len({artifact.file for artifact in listed}) == len(listed) == 46
    assert f"kafka_2.13-{artifacts.KAFKA}.jar" in {artifact.file for artifact in listed}
