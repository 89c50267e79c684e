"""`hub schema`: check, build and show the contracts of `schemas/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.output import Exit, Json, emit, fail, reported, say, table

if TYPE_CHECKING:
    from hub.log.registry import FileRegistry
    from hub.log.schema import Field, RecordSchema

app = typer.Typer(help="The contracts of schemas/: check, build, show.", no_args_is_help=True)


@app.command()
def check(json: Json = False) -> None:
    """Check the house rules, lock.json and the compatibility of every version; exit 1 when something must be changed."""
    from hub.log import generate, lint

    registry = _unlocked()
    problems = lint.check(registry)
    if not generate.is_current(registry, generate.OUTPUT):
        problems.append("hub/log/models.py is not what the schemas give; run `hub schema build`")
    if json:
        emit({"ok": not problems, "schemas": len(registry.schemas()), "problems": problems})
    elif not problems:
        say(f"{len(registry.schemas())} schemas, nothing to change")
    if problems:
        for problem in problems:
            say(problem)
        raise typer.Exit(Exit.ERROR)


@app.command()
def build(
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when the output is not current.")
    ] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Also bring lock.json up to date.")] = False,
) -> None:
    """Write hub/log/models.py from the schemas."""
    from hub.log import generate
    from hub.log.limits import BadSchema
    from hub.log.registry import write_lock

    registry = _unlocked()
    with reported(BadSchema):
        if only_check:
            if not generate.is_current(registry, generate.OUTPUT):
                raise fail(f"{generate.OUTPUT} is not what the schemas give; run `hub schema build`")
            say("models.py is current")
            return
        if lock:
            say("lock.json written" if write_lock(registry) else "lock.json is current")
        say(
            "models.py written"
            if generate.write_models(registry, generate.OUTPUT)
            else "models.py is current"
        )


@app.command()
def show(
    record: Annotated[str, typer.Argument(help="Name of a record, e.g. NewRsaEntrant.")],
    kind: Annotated[
        str | None,
        typer.Option("--as", metavar="KIND", help="Only what this kind of organisation may see of it."),
    ] = None,
    avro: Annotated[bool, typer.Option("--avro", help="The registered form (Avro JSON).")] = False,
    json: Json = False,
) -> None:
    """Show a record's fields, types, tags and docs."""
    from hub.log.registry import UnknownSchema

    with reported(UnknownSchema):
        schema = _unlocked().get(record)
    if avro:
        emit(schema.definition)
        return
    default = _default(record, kind) if kind else None
    fields = _visible(schema, default.fields) if default else list(schema.fields.values())
    health = _visible(schema, default.health) if default else []
    if json:
        emit(_as_json(schema, kind, default, fields, health))
        return
    _print(schema, kind, default, fields, health)


def _unlocked() -> FileRegistry:
    from hub.log.limits import BadSchema
    from hub.log.registry import FileRegistry, RegistryUnavailable

    with reported(BadSchema, RegistryUnavailable):
        return FileRegistry(locked=False)


def _default(record: str, kind: str) -> Any:
    """What the kind's default says of the record; ends the command when there is no such kind or it sees nothing."""
    from hub.rights import agreement

    if kind not in agreement.KINDS:
        raise fail(f"there is no kind {kind}; kinds are {', '.join(agreement.KINDS)}")
    with reported(ValueError):
        default = agreement.defaults(kind).get(record)
    if default is None:
        raise fail(
            f"{kind} sees nothing of {record}: hub/rights/defaults/{kind}.toml does not name it", Exit.REFUSED
        )
    return default


def _visible(schema: RecordSchema, paths: tuple[str, ...]) -> list[Field]:
    """The places that `paths` cover, with those that hold them."""
    covered = [name for name in schema.fields if any(name == p or name.startswith(f"{p}.") for p in paths)]
    holders = {name[:dot] for name in covered for dot in range(len(name)) if name[dot] == "."}
    return [place for name, place in schema.fields.items() if name in holders or name in covered]


def _as_json(
    schema: RecordSchema, kind: str | None, default: Any, fields: list[Field], health: list[Field]
) -> dict[str, Any]:
    from dataclasses import asdict

    out: dict[str, Any] = {
        "record": schema.record,
        "version": schema.version,
        "type": schema.ce_type,
        "id": schema.id,
        "fingerprint": schema.fingerprint,
        "doc": schema.definition["doc"],
        "matter": list(schema.matter),
        "fields": [asdict(place) for place in fields],
    }
    if default is not None:
        out |= {"as": kind, "purpose": default.purpose, "legal_basis": default.legal_basis}
        out["health"] = [asdict(place) for place in health]
    return out


def _print(
    schema: RecordSchema, kind: str | None, default: Any, fields: list[Field], health: list[Field]
) -> None:
    typer.echo(f"{schema.ce_type}  (id {schema.id}, {schema.fingerprint[:12]})")
    typer.echo(schema.definition["doc"])
    if default is not None:
        typer.echo(f"As {kind}: {default.purpose} ({default.legal_basis})")
    table(("field", "type", "sealed", "tags", "doc"), [_row(place) for place in fields])
    if health:
        table(
            ("field", "type", "sealed", "tags", "doc"),
            [_row(p) for p in health],
            title="Only with an article 9 basis",
        )


def _row(place: Field) -> tuple[str, str, str, str, str]:
    return (
        place.name,
        f"{place.type}?" if place.nullable else place.type,
        place.block or "",
        " ".join(place.tags),
        place.doc,
    )
