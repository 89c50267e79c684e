"""Recipient × field × purpose × legal basis in force on a day: the page that a data-protection officer asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

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
    """One page of Markdown: a table per kind and connector, where what all its recipients may get stands once, so that
    hundreds of structures stay readable; their agreements are named one by one."""
    parts = [
        f"# Who receives what in territory {found.territory}, on {found.on.isoformat()}",
        "",
        "Fields of a protected person: as below without address, phones and places of appointments. An identifier or field "
        "that is not on this page leaves for nobody.",
    ]
    groups: dict[str, list[Line]] = {}
    for line in found.lines:
        groups.setdefault(f"{line.kind}, connector {line.connector}", []).append(line)
    for kind, lines in groups.items():
        recipients = tuple(dict.fromkeys(line.partner for line in lines))
        parts += [
            "",
            f"## {kind}",
            "",
            *[_recipient(partner, lines) for partner in recipients],
            "",
            *_rows(lines, recipients),
        ]
    released = _together(((r.identifier, r.purpose, r.legal_basis), r.partner) for r in found.released)
    if released:
        parts += [
            "",
            "## Identifiers",
            "",
            "| identifier | to | purpose | legal basis |",
            "|---|---|---|---|",
        ]
        parts += [
            f"| {name} | {', '.join(to)} | {why} | {basis} |" for (name, why, basis), to in released.items()
        ]
    return "\n".join(parts) + "\n"


def _recipient(partner: str, lines: list[Line]) -> str:
    own = [line for line in lines if line.partner == partner]
    agreements = dict.fromkeys(f"{line.case_number} until {line.until}" for line in own if line.case_number)
    return f"- {own[0].organisation} ({partner}): {', '.join(agreements) or 'no agreement in force'}"


def _rows(lines: list[Line], recipients: tuple[str, ...]) -> list[str]:
    """A row per record and what is the same for several recipients; what nobody gets stands below."""
    told = _together((_cells(line), line.partner) for line in lines if line.why_not is None)
    untold = _together(((line.record, line.why_not), line.partner) for line in lines if line.why_not)
    rows = [
        f"| {record} | {_to(partners, recipients)} | {' | '.join(cells)} |"
        for (record, *cells), partners in told.items()
    ]
    head = (
        ["| record | to | when | fields | purpose | legal basis |", "|---|---|---|---|---|---|"]
        if rows
        else []
    )
    nothing = [
        f"\nNothing of {record} to {_to(to, recipients)}: {why}." for (record, why), to in untold.items()
    ]
    return [*head, *rows, *nothing]


def _cells(line: Line) -> tuple[str, ...]:
    when = "; ".join(table().conditions[name] for name in line.when)
    basis = "; ".join(filter(None, (line.legal_basis, line.article9)))
    return line.record, when, _grouped(line.fields), line.purpose, basis


def _together(pairs: Iterable[tuple[tuple[Any, ...], str]]) -> dict[tuple[Any, ...], list[str]]:
    found: dict[tuple[Any, ...], list[str]] = {}
    for key, partner in pairs:
        found.setdefault(key, []).append(partner)
    return found


def _to(partners: list[str], recipients: tuple[str, ...]) -> str:
    return "all" if len(partners) == len(recipients) else ", ".join(partners)


def _grouped(fields: Iterable[str]) -> str:
    """ "person (birth_name, phones), channel": fields of one block together."""
    blocks: dict[str, list[str]] = {}
    for path in fields:
        block, _, rest = path.partition(".")
        blocks.setdefault(block, []).append(rest)
    return ", ".join(
        f"{block} ({', '.join(rest)})" if rest != [""] else block for block, rest in blocks.items()
    )
