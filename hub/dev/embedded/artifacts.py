"""Kafka's jars: downloaded once per user, each checked against our own list before the folder gets its final name.

jgo finds and fetches them, but only warns about a wrong checksum and writes straight to the final path; hence the
temporary folder and ``kafka.sha256``. Proxy and CA variables (HTTPS_PROXY, REQUESTS_CA_BUNDLE, …) work as usual."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from hub.settings import Settings

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA = "4.3.1"
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA}",)
#: Kafka logs through slf4j 1.7; this binding has the version of the log4j that Kafka brings.
LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"
LIST = Path(__file__).with_name("kafka.sha256")


class PartFailed(Exception):
    """An embedded part cannot be had or does not run; the text says why and what to do."""


@dataclass(frozen=True)
class Artifact:
    sha256: str
    size: int  # bytes
    coordinate: str  # group:artifact:version

    @property
    def file(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def listed() -> list[Artifact]:
    """The jars of ``kafka.sha256``, in its order."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [Artifact(sha256, int(size), coordinate) for sha256, size, coordinate in lines]


def folder(settings: Settings) -> Path:
    """Where the jars of this list are kept; another list is another folder."""
    cache = settings.cache or user_cache_path("spie-hub")
    return cache / f"kafka-{KAFKA}-{hashlib.sha256(LIST.read_bytes()).hexdigest()[:8]}"


def present(settings: Settings) -> bool:
    """True when every jar is there with its size (`damaged` reads the bytes)."""
    jars = folder(settings)
    return all((jars / a.file).is_file() and (jars / a.file).stat().st_size == a.size for a in listed())


def damaged(jars: Path) -> list[str]:
    """The listed files that are missing in `jars` or have other bytes than listed."""
    return [a.file for a in listed() if _digest(jars / a.file) != a.sha256]


def fetch(settings: Settings) -> Path:
    """The folder with Kafka's jars, downloaded if needed (progress on stderr). Idempotent, safe side by side.

    Raises PartFailed when they cannot be downloaded or are not the listed bytes; then nothing is kept."""
    final = folder(settings)
    if present(settings):
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=final.parent) as scratch:
        jars = Path(scratch) / "jars"
        jars.mkdir()
        try:
            _download(settings, Path(scratch) / "maven", jars, final)
        except Exception as error:
            raise PartFailed(_unavailable(error, final)) from error
        if wrong := damaged(jars):
            raise PartFailed(
                f"downloaded, but not the bytes listed in kafka.sha256: {', '.join(wrong)}. Nothing was kept. "
                "A proxy or mirror may have answered with a page of its own; check HUB_MAVEN_MIRROR and the proxy."
            )
        shutil.rmtree(final, ignore_errors=True)  # an incomplete one, or none
        try:
            jars.rename(final)
        except OSError:  # another start was faster
            if not present(settings):
                raise
    return final


def _unavailable(error: Exception, final: Path) -> str:
    megabytes = sum(a.size for a in listed()) / 1e6
    return (
        f"Kafka {KAFKA} could not be downloaded ({type(error).__name__}: {error}). It is needed once "
        f"({megabytes:.0f} MB of jars from a Maven repository). Behind a proxy, set HTTPS_PROXY (and REQUESTS_CA_BUNDLE "
        f"for its certificate); set HUB_MAVEN_MIRROR for a company mirror; or copy the folder {final} from another "
        "machine; or set HUB_KAFKA to the address of a running Kafka."
    )


def _context(settings: Settings, maven: Path) -> MavenContext:
    from jgo.maven import MavenContext  # 0.3 s

    remote = {"mirror": settings.maven_mirror} if settings.maven_mirror else None
    return MavenContext(repo_cache=maven, remote_repos=remote, timeout=60)


def _download(settings: Settings, maven: Path, jars: Path, final: Path) -> None:
    wanted, context = listed(), _context(settings, maven)
    total = sum(a.size for a in wanted)
    say = f"Kafka {KAFKA}: downloading {len(wanted)} files, {total / 1e6:.0f} MB, once, into {final}"
    with _progress(say, total) as advance:
        context.resolver.progress_callback = advance
        with ThreadPoolExecutor(4) as pool:
            paths = list(
                pool.map(lambda a: context.create_dependency(a.coordinate).artifact.resolve(), wanted)
            )
    for artifact, path in zip(wanted, paths, strict=True):
        path.rename(jars / artifact.file)


@contextmanager
def _progress(title: str, total: int) -> Iterator[object]:
    """Shows `title` at once, then a bar (a terminal) or nothing more (a log); yields jgo's progress callback."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console = Console(stderr=True, soft_wrap=True)
    console.print(title, highlight=False)
    with Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console) as bar:
        task = bar.add_task(title, total=total)

        @contextmanager
        def advance(_name: str, _size: int) -> Iterator[object]:
            yield lambda count: bar.update(task, advance=count)

        yield advance


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_list(settings: Settings) -> None:
    """Resolve Kafka and what it needs anew and write ``kafka.sha256`` (for the maintainer who changes the version)."""
    with tempfile.TemporaryDirectory() as scratch:
        context = _context(settings, Path(scratch))
        inputs, needed = context.resolver.resolve([context.create_dependency(root) for root in ROOTS])
        found = [d for d in inputs + needed if d.scope in (None, "compile", "runtime")]
        log4j = next(d.version for d in found if d.artifactId == "log4j-core")
        found.append(context.create_dependency(f"{LOG_BINDING}:{log4j}"))
        lines = []
        for dependency in found:
            path = dependency.artifact.resolve()
            name = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
            lines.append(f"{_digest(path)} {path.stat().st_size} {name}\n")
    head = f"# Kafka {KAFKA} and what it runs on: SHA-256, bytes, Maven coordinate; written by python -m {__spec__.name} --write\n"
    LIST.write_text(head + "".join(sorted(lines, key=lambda line: line.split()[2])))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write_list(Settings())
    else:
        try:
            print(os.fspath(fetch(Settings())))
        except PartFailed as failed:
            sys.exit(str(failed))
