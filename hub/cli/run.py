"""`hub run [ROLE]`."""

from __future__ import annotations

import logging
from contextlib import nullcontext, suppress
from typing import Annotated

import typer

from hub.cli.output import Exit, fail, reported
from hub.cli.parts import with_parts


def run(
    role: Annotated[
        str | None, typer.Argument(help="gateway, consumers, delivery or scheduler; none: all of them.")
    ] = None,
) -> None:
    """Run the hub until SIGTERM or Ctrl-C. Embedded parts that are missing are started and stay up."""
    from hub import roles
    from hub.dev.embedded import parts
    from hub.settings import Settings

    if role is not None and role not in roles.ROLES:
        raise fail(f"there is no role {role!r}; the roles are {', '.join(roles.ROLES)}", Exit.USAGE)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    settings = with_parts(Settings())
    # a whole hub keeps its HUB_HOME to itself; single roles are its children or stand apart on purpose
    own = parts.hold(settings, "hub run") if role is None else nullcontext()
    with suppress(KeyboardInterrupt), reported(parts.InUse), own:
        roles.main(settings, role)
