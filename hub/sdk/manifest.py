"""The manifest ``connector.toml``: what a connector reads and writes, with which fields, purpose, legal basis and rules."""

from __future__ import annotations

import importlib
import tomllib
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Flow(_Strict):
    """One way in: a file reader module, a polled partner, or HTTP publishing. `module` is a file of the connector."""

    name: str
    kind: Literal["file", "poll", "publish"]
    records: list[str]
    module: str = "inbound"
    file_pattern: str | None = None
    every: str | None = None


class OutboundRecord(_Strict):
    """What this connector tells of one record. `echo` are the fields by which the partner's own report of the same
    fact is recognised (table `told`)."""

    fields: list[str]
    purpose: str
    legal_basis: str
    side_effect: Literal["idempotent", "irreversible"] = "idempotent"
    echo: list[str] = Field(default_factory=list)


class Release(_Strict):
    """An identifier that leaves for this kind of partner, with why it may."""

    purpose: str
    legal_basis: str


class FileWindow(_Strict):
    """When a file is closed: `every` is "15 min" or "daily 06:00" (territory time), at most `max_rows` rows. `name` may use
    {action}, {date}, {time} and {number}; a file holds messages of one action."""

    every: str = "15 min"
    max_rows: int = 5000
    name: str = "{action}_{date}_{number}.csv"


class Outbound(_Strict):
    """The way out. Times are in seconds. `unknown_outcome` says what may be done when an attempt may have arrived:
    "key" = the same idempotency key again, "look_up" = ask first, "none" = at most once, then a human."""

    transport: Literal["http", "file", "null"]
    unknown_outcome: Literal["key", "look_up", "none"]
    deadline: float = 30.0
    settles_within: float = 60.0
    key_lifetime: float = 86_400.0
    concurrency: int = 8
    rate: float | None = None
    batch: int = 1
    blocking_codes: list[str] = Field(default_factory=list)
    code_actions: dict[str, str] = Field(default_factory=dict)
    window: FileWindow | None = None
    records: dict[str, OutboundRecord] = Field(default_factory=dict)


class Setting(_Strict):
    """One typed setting of a partner of this connector."""

    type: Literal["str", "int", "float", "bool", "url", "path", "list", "table"]
    doc: str
    required: bool = False
    default: Any = None
    secret: bool = False


class Manifest(_Strict):
    """``connector.toml``. `kind_ids` names the identifier kind that is the partner's own id of a person."""

    name: str
    title: str
    version: int
    contract: Literal["available", "convention needed"]
    documentation: str = ""
    their_id: str | None = None
    flows: list[Flow] = Field(default_factory=list)
    outbound: Outbound | None = None
    release: dict[str, Release] = Field(default_factory=dict)
    settings: dict[str, Setting] = Field(default_factory=dict)


class Connector:
    """A connector's folder: its manifest, and its modules loaded when first asked for."""

    def __init__(self, manifest: Manifest, folder: Path, package: str) -> None:
        self.manifest, self.folder, self.package = manifest, folder, package

    @property
    def name(self) -> str:
        return self.manifest.name

    def module(self, name: str) -> ModuleType:
        """Import one of the connector's modules, e.g. "inbound"."""
        return importlib.import_module(f"{self.package}.{name}")

    @cached_property
    def outbound(self) -> ModuleType:
        """The module with translate, send, look_up or render."""
        return self.module("outbound")


def load(folder: Path, package: str) -> Connector:
    """Read ``connector.toml`` of one folder. Raises ValueError naming file and field when it does not hold."""
    path = folder / "connector.toml"
    try:
        manifest = Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error
    return Connector(manifest, folder, package)


def discover(root: Path, package: str = "connectors") -> dict[str, Connector]:
    """Every folder with a ``connector.toml`` below `root`, and outside packages by entry point ``hub.connectors``
    (the entry point names a package whose folder holds a ``connector.toml``)."""
    from importlib.metadata import entry_points

    found = {}
    for path in sorted(root.glob("*/connector.toml")):
        connector = load(path.parent, f"{package}.{path.parent.name}")
        found[connector.name] = connector
    for entry in entry_points(group="hub.connectors"):
        module = entry.load()
        connector = load(Path(module.__file__).parent, module.__name__)
        found[connector.name] = connector
    return found
