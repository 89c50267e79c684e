"""The ways in that the hub walks itself: drop folders of partners and partners that are polled.

A partner's setting `inbox` names its folder; what was read goes sealed to ``inbox/done``, what was refused as a whole to
``inbox/refused`` with the reason beside it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hub.delivery.desk import Desk, PartnerDesk, today
from hub.delivery.window import seconds
from hub.intake.accept import Acceptor
from hub.intake.archive import seal_file
from hub.intake.imports import Importer, Source, settled
from hub.intake.memory import SourceMemory
from hub.intake.results import Accepted, Incoming, Result
from hub.log.headers import event_source
from hub.sdk.inbound import Context, Decision, FileRefused, PollSource, Reject
from hub.sdk.manifest import Flow
from hub.sdk.transports import Fault
from hub.store.database import run, transaction

log = logging.getLogger("hub.inbound")

CURSOR = ("cursor",)


@dataclass
class Inbox:
    """One per scheduler. `step` looks once everywhere; what fails at one partner does not stop the others."""

    database: AsyncEngine
    desk: Desk
    acceptor: Acceptor
    _polled: dict[tuple[str, str], float] = field(default_factory=dict)

    async def step(self) -> int:
        """Import every file that lies ready and poll every partner whose time has come; how many were taken."""
        async with transaction(self.database) as connection:
            await self.desk.refresh(connection)
        taken = 0
        for desk in self.desk.all_partners():
            for flow in desk.connector.manifest.flows:
                try:
                    if flow.kind == "file":
                        taken += await self._folder(desk, flow)
                    elif flow.kind == "poll" and self._due(desk, flow):
                        taken += await self._poll(desk, flow)
                except Exception as error:
                    log.error("flow %s of partner %s failed: %s", flow.name, desk.id, type(error).__name__)
        return taken

    # ------------------------------------------------------------------ folders
    async def _folder(self, desk: PartnerDesk, flow: Flow) -> int:
        folder = desk.settings.get("inbox")
        if not folder or not Path(folder).is_dir():
            return 0
        found = sorted(
            p
            for p in Path(folder).glob(flow.file_pattern or "*")
            if p.is_file() and not p.name.startswith(".")
        )
        for path in found:
            await self._file(desk, flow, path)
        return len(found)

    async def _file(self, desk: PartnerDesk, flow: Flow, path: Path) -> None:
        received = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        source = Source(
            desk.id, flow.name, desk.connector.module(flow.module), desk.settings, today(received)
        )
        try:
            report = await Importer(self.database, self.acceptor).import_file(source, path)
        except FileRefused as refused:
            log.error("a file of partner %s is refused as a whole: %s", desk.id, refused.code)
            place = f" (line {refused.line})" if refused.line else ""
            await asyncio.to_thread(self._put_away, path, "refused", f"{refused.code}{place}: {refused}\n")
            return
        log.info(
            "a file of partner %s was read: %s records, %s events, %s rejected",
            desk.id, report.households, sum(report.events.values()), len(report.rejects),
        )  # fmt: skip
        await asyncio.to_thread(self._put_away, path, "done", report.model_dump_json(indent=1))

    def _put_away(self, path: Path, where: str, text: str) -> None:
        """The original sealed, the report in clear (it names no person), then the original goes."""
        folder = path.parent / where
        folder.mkdir(exist_ok=True)
        seal_file(self.desk.master, path, folder / f"{path.name}.sealed")
        (folder / f"{path.name}.report").write_text(text, encoding="utf-8")
        path.unlink()

    # ------------------------------------------------------------------ polls
    def _due(self, desk: PartnerDesk, flow: Flow) -> bool:
        now, key = asyncio.get_running_loop().time(), (desk.id, flow.name)
        if now < self._polled.get(key, 0.0):
            return False
        self._polled[key] = now + seconds(desk.settings.get("poll_every") or flow.every or "1 min")
        return True

    async def _poll(self, desk: PartnerDesk, flow: Flow) -> int:
        """Page after page until the partner has nothing new."""
        module, taken = desk.connector.module(flow.module), 0
        memory = SourceMemory(
            self.desk.master, desk.territory, event_source(desk.territory, desk.id, flow.name)
        )
        while True:
            async with transaction(self.database) as connection:
                cursor = (await memory.load(connection, [CURSOR])).get(CURSOR, {}).get("cursor")
            deadline = desk.outbound.deadline if desk.outbound else 30.0
            page = await module.poll(
                cursor, PollSource(self.desk.http(desk, deadline), desk.settings, self.desk.secrets(desk))
            )
            if isinstance(page, Fault):
                log.warning("partner %s could not be polled: %s", desk.id, page.reason)
                return taken
            if not page.items and page.cursor == cursor:
                return taken
            await self._page(desk, flow, module, memory, page.items, page.cursor)
            taken += len(page.items)
            if page.cursor == cursor:
                return taken

    async def _page(
        self,
        desk: PartnerDesk,
        flow: Flow,
        module: Any,
        memory: SourceMemory,
        items: Sequence[Any],
        cursor: str | None,
    ) -> None:
        """One page: decisions, acceptance, memory and cursor in one transaction."""
        async with transaction(self.database) as connection:
            known = await memory.load(
                connection,
                {key for item in items if not isinstance(item, Reject) for key in module.keys(item)},
            )
        now = datetime.now(UTC)
        context = Context(
            territory=desk.territory,
            received_on=today(now),
            now=now,
            digest=partial(self.desk.master.digest, desk.territory),
            header={},
            sender_memory={},
            settings=desk.settings,
            codes=self.desk.configuration(desk.territory).territory.codes,
        )
        decisions = _decide(module, items, known, context)
        incoming = [Incoming(draft) for decision in decisions for draft in decision.drafts]

        async def within(connection: AsyncConnection, results: Sequence[Result]) -> None:
            kept = settled(decisions, results)
            changes = {key: state for decision in kept for key, state in decision.memory.items()}
            await memory.store(connection, changes | {CURSOR: {"cursor": cursor}})
            events = sum(isinstance(r, Accepted) and not r.again for r in results)
            rejects = [r for decision in kept for r in decision.rejects]
            await run(
                connection,
                "insert into batch (territory, source, kind, name, state, known, counts, report, finished_at) values "
                "(:t, :s, 'poll', :n, 'complete', :known, jsonb_build_object('processed', cast(:ok as int), 'rejected', "
                "cast(:bad as int)), cast(:report as jsonb), clock_timestamp())",
                t=desk.territory, s=memory.source, n=flow.name, known=len(items), ok=len(items) - len(rejects),
                bad=len(rejects), report=_report(rejects, events),
            )  # fmt: skip
            for reject in rejects:
                log.warning(
                    "partner %s, flow %s: rejected %s %s",
                    desk.id,
                    flow.name,
                    reject.reason,
                    reject.field or "",
                )

        await self.acceptor.accept(desk.id, flow.name, incoming, within=within)


def _decide(
    module: Any, items: Sequence[Any], known: Mapping[Any, Mapping[str, Any]], context: Context
) -> list[Decision]:
    """One decision per item, each seeing what the one before made of the memory."""
    memory, decisions = dict(known), []
    for item in items:
        if isinstance(item, Reject):
            decisions.append(Decision(rejects=(item,)))
            continue
        wanted = {key: memory[key] for key in module.keys(item) if key in memory}
        decision = module.decide(wanted, item, context)
        memory.update({key: state for key, state in decision.memory.items() if state is not None})
        decisions.append(decision)
    return decisions


def _report(rejects: Sequence[Reject], events: int) -> str:
    lines = [{"item": r.position.ordinal, "reason": r.reason, "field": r.field} for r in rejects]
    return json.dumps({"events": events, "rejects": lines})
