"""Recipient × field × purpose × legal basis in force on a day: the page that a data-protection officer asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from hub.rights.agreement import Default, defaults
from hub.rights.configuration import Configuration, Partner
from hub.rights.route import table
from hub.rights.view import View, view_of
from hub.sdk.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Line:
    """What one partner may receive of one record. `when` are the routing conditions; `why_not` is set when nothing leaves."""

    partner: str
    organisation: str
    kind: str
    connector: str
    record: str
    fields: tuple[str, ...]
    when: tuple[str, ...]
    purpose: str
    legal_basis: str
    article9: str | None
    agreement: str | None
    case_number: str | None
    until: date | None
    why_not: str | None


@dataclass(frozen=True, slots=True)
class Released:
    """An identifier that leaves for one partner, by its connector's manifest."""

    partner: str
    organisation: str
    identifier: str
    purpose: str
    legal_basis: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """The matrix of one territory on one day, by partner and record."""

    territory: str
    on: date
    lines: tuple[Line, ...]
    released: tuple[Released, ...]


def matrix(configuration: Configuration, manifests: Mapping[str, Manifest], on: date) -> Matrix:
    """Every active partner × record that the routing table lets concern it. Fields are those of an unprotected person;
    for a protected one address, phones and appointment places are never among them."""
    lines, released = [], []
    for partner in sorted(configuration.partners, key=lambda p: p.id):
        manifest = manifests.get(partner.connector)
        organisation = configuration.organisation(partner.organisation)
        if organisation is None or manifest is None or not partner.active(on):
            continue
        lines += [
            line
            for record, row in table().records.items()
            if (conditions := row.to.get(organisation.kind))
            and (line := _line(configuration, partner, manifest, record, tuple(sorted(conditions)), on))
        ]
        released += [
            Released(partner.id, organisation.name, name, release.purpose, release.legal_basis)
            for name, release in manifest.release.items()
        ]
    return Matrix(configuration.territory.id, on, tuple(lines), tuple(released))


def _line(
    configuration: Configuration,
    partner: Partner,
    manifest: Manifest,
    record: str,
    conditions: tuple[str, ...],
    on: date,
) -> Line | None:
    organisation = configuration.organisation(partner.organisation)
    default = defaults(organisation.kind).get(record) if organisation else None
    declared = manifest.outbound.records.get(record) if manifest.outbound else None
    if organisation is None or default is None or declared is None:
        return None
    agreement = configuration.agreement(partner.id, record, on)
    view = view_of(configuration, manifest, partner.id, record, on, protected=False)
    health = any(path in view.fields for path in default.health)
    return Line(
        partner.id,
        organisation.name,
        organisation.kind,
        partner.connector,
        record,
        tuple(sorted(view.fields)),
        conditions,
        declared.purpose or default.purpose,
        default.legal_basis,
        agreement.article9 if agreement and health else None,
        agreement.id if agreement else None,
        agreement.case_number if agreement else None,
        agreement.end if agreement else None,
        _why_not(default, view, agreement is not None),
    )


def _why_not(default: Default, view: View, agreed: bool) -> str | None:
    if view.fields:
        return None
    return "no field is left by connector, kind and agreement" if agreed else "no agreement in force"


def as_text(found: Matrix) -> str:
    """One page of Markdown. Recipients of one kind that may receive the same stand under one heading, so that hundreds of
    structures stay readable; their agreements are named one by one."""
    parts = [
        f"# Who receives what in territory {found.territory}, on {found.on.isoformat()}",
        "",
        "Fields of a protected person: as below without address, phones and places of appointments. An identifier or field "
        "that is not on this page leaves for nobody.",
    ]
    groups: dict[tuple[str, ...], list[str]] = {}
    for partner in dict.fromkeys((*(x.partner for x in found.lines), *(r.partner for r in found.released))):
        lines = [line for line in found.lines if line.partner == partner]
        released = [r for r in found.released if r.partner == partner]
        body = _table(lines) + [
            f"Identifier {r.identifier}: {r.purpose} ({r.legal_basis})." for r in released
        ]
        kind = f"{lines[0].kind}, connector {lines[0].connector}" if lines else "identifiers only"
        groups.setdefault((kind, *body), []).append(_recipient(partner, lines, released))
    for (kind, *body), recipients in groups.items():
        parts += ["", f"## {kind}", "", *[f"- {recipient}" for recipient in recipients], "", *body]
    return "\n".join(parts) + "\n"


def _recipient(partner: str, lines: list[Line], released: list[Released]) -> str:
    name = lines[0].organisation if lines else released[0].organisation
    agreements = dict.fromkeys(f"{x.case_number} until {x.until}" for x in lines if x.case_number)
    return f"{name} ({partner}): {', '.join(agreements) or 'no agreement in force'}"


def _table(lines: list[Line]) -> list[str]:
    if not lines:
        return []
    rows = [
        f"| {line.record} | {'; '.join(table().conditions[name] for name in line.when)} "
        f"| {_grouped(line.fields) if line.why_not is None else f'nothing: {line.why_not}'} | {line.purpose} "
        f"| {'; '.join(filter(None, (line.legal_basis, line.article9)))} |"
        for line in lines
    ]
    return ["| record | when | fields | purpose | legal basis |", "|---|---|---|---|---|", *rows, ""]


def _grouped(fields: Iterable[str]) -> str:
    """ "person (birth_name, phones), channel": fields of one block together."""
    blocks: dict[str, list[str]] = {}
    for path in fields:
        block, _, rest = path.partition(".")
        blocks.setdefault(block, []).append(rest)
    return ", ".join(
        f"{block} ({', '.join(rest)})" if rest != [""] else block for block, rest in blocks.items()
    )
