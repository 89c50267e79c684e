"""A partner's settings and secrets against its connector's manifest, before a configuration is applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

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
    declared = manifest.settings
    for name, value in partner.settings.items():
        if name not in declared:
            yield f"settings.{name}: {partner.connector} has no such setting; it has {', '.join(declared) or 'none'}"
        elif declared[name].secret:
            yield f"settings.{name}: is a secret: write where it is kept under secrets.{name}"
        elif problem := _mistyped(declared[name], value):
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
