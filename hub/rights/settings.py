"""A partner's settings and secrets against its connector's manifest, before a configuration is applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from hub.delivery.window import last_boundary, seconds
from hub.rights.configuration import Partner
from hub.sdk.manifest import Manifest, Setting

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "url": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list, tuple),
    "table": (dict,),
}

#: Times and limits of the manifest that a partner of any connector may set for itself (protocol.md §4).
TUNABLE = {
    "deadline": Setting(type="float", doc="Seconds that one attempt may take."),
    "settles_within": Setting(
        type="float", doc="Seconds after the deadline in which what it took may still settle."
    ),
    "key_lifetime": Setting(type="float", doc="Seconds for which the partner remembers an idempotency key."),
    "concurrency": Setting(type="int", doc="Attempts under way at once."),
    "rate": Setting(type="float", doc="Attempts per second."),
}
WINDOW = Setting(type="str", doc='How often its file is closed: "30 s", "15 min", "2 h" or "daily 06:00".')
POLL_EVERY = Setting(type="str", doc='How often it is polled: "30 s", "1 min" or "2 h".')
_INTERVALS = {"window": lambda text: last_boundary(text, datetime.now(UTC)), "poll_every": seconds}


def settings_of(manifest: Manifest) -> dict[str, Setting]:
    """Every setting that a partner of this connector may have: its own and the tunable ones."""
    known = dict(manifest.settings)
    if manifest.outbound is not None:
        known |= TUNABLE | ({"window": WINDOW} if manifest.outbound.window else {})
    if any(flow.kind == "poll" for flow in manifest.flows):
        known["poll_every"] = POLL_EVERY
    return known


def settings_problems(partners: tuple[Partner, ...], manifests: Mapping[str, Manifest]) -> list[str]:
    """Why these partners cannot run, one sentence each naming partner and key; removed partners are not looked at."""
    return [
        f"partner {partner.id}: {problem}"
        for partner in partners
        if partner.removed_on is None
        for problem in _problems(partner, manifests)
    ]


def _problems(partner: Partner, manifests: Mapping[str, Manifest]) -> Iterator[str]:
    manifest = manifests.get(partner.connector)
    if manifest is None:
        yield f"connector: there is no {partner.connector!r}; there are {', '.join(sorted(manifests))}"
        return
    declared = settings_of(manifest)
    for name, value in partner.settings.items():
        if name not in declared:
            yield f"settings.{name}: {partner.connector} has no such setting; it has {', '.join(declared) or 'none'}"
        elif declared[name].secret:
            yield f"settings.{name}: is a secret: write where it is kept under secrets.{name}"
        elif problem := _mistyped(declared[name], value) or _no_interval(name, value):
            yield f"settings.{name}: {problem}"
    for name in partner.secrets:
        if name not in declared or not declared[name].secret:
            yield f"secrets.{name}: {partner.connector} has no such secret"
    for name, setting in declared.items():
        where = partner.secrets if setting.secret else partner.settings
        if setting.required and name not in where:
            yield f"{'secrets' if setting.secret else 'settings'}.{name}: is required ({setting.doc})"


def _mistyped(setting: Setting, value: Any) -> str | None:
    if not isinstance(value, _TYPES[setting.type]) or (isinstance(value, bool) and setting.type != "bool"):
        return f"must be a {setting.type}, not {type(value).__name__}"
    if setting.type == "url" and (
        urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname
    ):
        return "must be an http(s) address"
    return None


def _no_interval(name: str, value: Any) -> str | None:
    if name not in _INTERVALS:
        return None
    try:
        _INTERVALS[name](value)
    except ValueError as error:
        return str(error)
    return None
