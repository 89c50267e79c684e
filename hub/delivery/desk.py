"""What claim, send and settle look up: configuration, connectors, rights of this moment, people, secrets.

Configuration is read inside the gate, so nothing here is older than the last commit of a change of rights.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.delivery.compose import SealedEvent
from hub.log.codec import Codec
from hub.people.keys import DataKeys, MasterKey
from hub.people.store import load_keys
from hub.rights.configuration import Configuration
from hub.rights.settings import TUNABLE
from hub.rights.view import View, Withheld, present_view
from hub.sdk.manifest import Connector, Outbound
from hub.sdk.outbound import Recipient
from hub.sdk.transports import HttpTransport
from hub.store.database import rows

PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True)
class PartnerDesk:
    """One partner: its connector, its typed settings with defaults filled in."""

    id: str
    territory: str
    connector: Connector
    outbound: Outbound | None
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]

    @cached_property
    def opens(self) -> frozenset[str]:
        """Kinds of identifiers that are opened for it: those released, and its own id of a person."""
        manifest = self.connector.manifest
        return frozenset(manifest.release) | ({manifest.their_id} if manifest.their_id else set())

    @property
    def unsure(self) -> bool:
        """Neither idempotency key nor look-up: at most once, then a human."""
        return self.outbound is None or self.outbound.unknown_outcome == "none"


@dataclass(slots=True)
class PersonDesk:
    """A person's flags of this moment and sealed identifiers (kind → sealed value)."""

    id: UUID
    protected: bool
    restricted: bool
    objections: tuple[str, ...]
    erasing: bool
    identifiers: dict[str, bytes] = field(default_factory=dict)


class Desk:
    """One per process. `refresh` is called inside the gate; everything else is a look-up in memory."""

    def __init__(
        self, connectors: Mapping[str, Connector], master: MasterKey, codec: Codec, allow_http: bool = False
    ) -> None:
        self.connectors, self.master = connectors, master
        self.keys = DataKeys(master, time.monotonic)
        self.codec = codec
        self._allow_http = allow_http
        self._configurations: dict[str, tuple[int, Configuration]] = {}
        self._partners: dict[str, PartnerDesk] = {}
        self._numbers: dict[str, int] = {}
        self._locks: dict[str, int] = {}
        self._http: dict[str, HttpTransport] = {}

    # ------------------------------------------------------------------ configuration
    async def refresh(self, connection: AsyncConnection) -> None:
        """Take in configurations newer than those known."""
        newest = await rows(
            connection,
            "select t.id, t.lock_no, c.version from territory t "
            "cross join lateral (select version from configuration where territory = t.id order by version desc limit 1) c",
        )
        for row in newest:
            self._locks[row.id] = row.lock_no
            if self._configurations.get(row.id, (0, None))[0] != row.version:
                document = await rows(
                    connection, "select document from configuration where version = :v", v=row.version
                )
                self._take_in(row.id, row.version, Configuration.model_validate(document[0].document))

    def _take_in(self, territory: str, version: int, configuration: Configuration) -> None:
        self._configurations[territory] = (version, configuration)
        for partner in configuration.partners:
            connector = self.connectors[partner.connector]
            self._numbers.setdefault(partner.id, len(self._numbers))
            settings = {
                name: setting.default
                for name, setting in connector.manifest.settings.items()
                if not setting.secret
            } | dict(partner.settings)
            self._partners[partner.id] = PartnerDesk(
                partner.id,
                territory,
                connector,
                tuned(connector.manifest.outbound, settings),
                settings,
                partner.secrets,
            )

    async def all_locks(self, connection: AsyncConnection) -> list[int]:
        """The gate's lock numbers of every territory."""
        return [r.lock_no for r in await rows(connection, "select lock_no from territory order by lock_no")]

    def territory_lock(self, partner: str) -> int:
        """The gate's lock number of a partner's territory."""
        return self._locks[self._partners[partner].territory]

    def partner(self, partner: str) -> PartnerDesk:
        """Raises KeyError for a partner that no configuration names."""
        return self._partners[partner]

    def number(self, partner: str) -> int:
        """A partner's place among all of this process, from 0; it never changes. Raises KeyError like `partner`."""
        return self._numbers[partner]

    def all_partners(self) -> list[PartnerDesk]:
        """Every partner of every configured territory."""
        return list(self._partners.values())

    def configuration(self, territory: str) -> Configuration:
        """The newest configuration taken in."""
        return self._configurations[territory][1]

    def version(self, territory: str) -> int:
        """Its version."""
        return self._configurations[territory][0]

    def by_file(self, partner: str) -> bool:
        """Whether this partner gets files."""
        outbound = self._partners[partner].outbound
        return outbound is not None and outbound.transport == "file"

    # ------------------------------------------------------------------ people and rights
    async def people(
        self,
        connection: AsyncConnection,
        roots: Iterable[UUID],
        key_owners: Iterable[UUID],
        kinds: Iterable[str] | None = None,
    ) -> dict[UUID, PersonDesk]:
        """Flags and identifiers of the roots (of these `kinds`, None = all); the data keys of `key_owners` and roots are
        taken into the cache."""
        wanted, sought = list(roots), None if kinds is None else sorted(kinds)
        found = {
            person: PersonDesk(person, protected, restricted, tuple(objections), erasing_at is not None)
            for person, protected, restricted, objections, erasing_at in await rows(
                connection,
                "select id, protected, restricted, objections, erasing_at from person where id = any(cast(:ids as uuid[]))",
                ids=wanted,
            )
        }
        if sought != []:
            for person, kind, sealed in await rows(
                connection,
                "select distinct on (person, kind) person, kind, sealed from identifier where person = any(cast(:ids as uuid[])) "
                "and (cast(:kinds as text[]) is null or kind = any(cast(:kinds as text[]))) order by person, kind, since desc",
                ids=wanted,
                kinds=sought,
            ):
                found[person].identifiers[kind] = sealed
        await load_keys(connection, self.keys, [*wanted, *key_owners])
        return found

    def view(
        self, partner: PartnerDesk, event: SealedEvent, person: PersonDesk, now: datetime
    ) -> View | Withheld:
        """The rights of this moment: the verdict, then the fields."""
        return present_view(
            event.facts_now(person.restricted, person.objections, person.erasing),
            self.configuration(partner.territory),
            partner.connector.manifest,
            partner.id,
            today(now),
            person.protected,
        )

    def recipient(self, partner: PartnerDesk, root: UUID, person: PersonDesk) -> Recipient:
        """What belongs to the recipient: outward id, their own id, the identifiers that the manifest releases."""
        manifest = partner.connector.manifest
        opened = {
            kind: self.keys.open(root, person.identifiers[kind], f"identifier:{kind}").decode()
            for kind in partner.opens
            if kind in person.identifiers
        }
        return Recipient(
            partner.id,
            self.master.outward_id(partner.id, root),
            opened.get(manifest.their_id) if manifest.their_id else None,
            {kind: opened[kind] for kind in manifest.release if kind in opened},
            partner.settings,
        )

    # ------------------------------------------------------------------ sending
    def http(self, partner: PartnerDesk, left: float) -> HttpTransport:
        """The connector's connections, bound to the seconds that are left."""
        name, out = partner.connector.name, partner.outbound
        if name not in self._http:
            self._http[name] = HttpTransport(
                deadline=out.deadline if out else left,
                connections=max(8, out.concurrency if out else 0),
                allow_http=self._allow_http,
            )
        return self._http[name].within(left)

    def secrets(self, partner: PartnerDesk) -> dict[str, str]:
        """The partner's secrets by name, read now (``env:NAME`` or ``file:PATH``). Never logged."""
        return {name: read_secret(reference) for name, reference in partner.secrets.items()}


def tuned(outbound: Outbound | None, settings: Mapping[str, Any]) -> Outbound | None:
    """The manifest's way out with this partner's own times and limits; `window` replaces how often a file is closed."""
    if outbound is None:
        return None
    changed: dict[str, Any] = {name: settings[name] for name in TUNABLE if settings.get(name) is not None}
    if settings.get("window") and outbound.window:
        changed["window"] = outbound.window.model_copy(update={"every": settings["window"]})
    return outbound.model_copy(update=changed) if changed else outbound


def read_secret(reference: str) -> str:
    """``env:NAME`` or ``file:PATH``. Raises KeyError or OSError naming the reference, never the secret."""
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        return os.environ[rest]
    return Path(rest).read_text(encoding="utf-8").strip()


@lru_cache(maxsize=256)
def today(now: datetime) -> date:
    """The day in the territory's time (Europe/Paris)."""
    return now.astimezone(PARIS).date()
