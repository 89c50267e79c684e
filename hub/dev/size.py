"""`make size`: lines of Python per area against the marks of the design; blank and comment lines do not count.

Past a mark, the next thing to do is to look for what can be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ("intake", "log", "delivery", "ledger", "replay", "rights")
CORE_MARK, CONNECTOR_MARK, TWIN_MARK, DEV_SHARE, TEST_RATIO = 4000, 500, 250, 0.15, 1.3


def lines(files: Iterator[Path] | list[Path]) -> int:
    """Lines that are neither blank nor only a comment (docstrings count)."""
    texts = (file.read_text() for file in files)
    return sum(
        1 for text in texts for line in text.splitlines() if line.strip() and not line.strip().startswith("#")
    )


def areas(root: Path) -> Iterator[tuple[str, int, int | None]]:
    """(area, lines, mark or None), in reading order."""
    hub, connectors = root / "hub", root / "connectors"
    parts = {place.name: lines(place.rglob("*.py")) for place in sorted(hub.iterdir()) if place.is_dir()}
    parts["(top)"] = lines(hub.glob("*.py"))
    yield "core", sum(parts.get(name, 0) for name in CORE), CORE_MARK
    for name in CORE:
        yield f"  hub/{name}", parts.get(name, 0), None
    source = sum(parts.values()) + lines(connectors.rglob("*.py")) + lines((root / "consumers").rglob("*.py"))
    for name, count in parts.items():
        if name not in (*CORE, "dev") and count:
            yield f"hub/{name}", count, None
    yield "hub/dev", parts.get("dev", 0), round(DEV_SHARE * source)
    yield "consumers", lines((root / "consumers").rglob("*.py")), None
    for folder in sorted(place for place in connectors.iterdir() if (place / "connector.toml").exists()):
        twin = list(folder.rglob("twin*.py"))
        yield f"connectors/{folder.name}", lines(folder.rglob("*.py")) - lines(twin), CONNECTOR_MARK
        yield f"connectors/{folder.name} twin", lines(twin), TWIN_MARK
    yield "source", source, None
    yield "tests", lines((root / "tests").rglob("*.py")), round(TEST_RATIO * source)


def report(root: Path = ROOT) -> str:
    """The table as text."""
    shown = []
    for area, count, mark in areas(root):
        against = "" if mark is None else f"{mark:>8}" + ("  past the mark" if count > mark else "")
        shown.append(f"{area:<32}{count:>8}{against}")
    return "\n".join([f"{'area':<32}{'lines':>8}{'mark':>8}", *shown])


if __name__ == "__main__":
    print(report())
