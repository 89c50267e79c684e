"""Publishing: a receipt means durable; same again is the same; what is not taken leaves nothing and says why."""

from __future__ import annotations

from tests.gateway.doors import decision, doors


async def test_an_event_is_accepted_and_durable(database):
    async with doors(database) as hub:
        answer = await hub.publish("cd", decision())
        assert answer.status_code == 202, answer.text
        receipt = answer.json()
        row = (await hub.world.sql("select id, no, source_event_id, emitter, flow, record from event"))[0]
        assert (receipt["id"], receipt["sequence"]) == (str(row.id), row.no)
        assert receipt["accepted_at"].endswith("+00:00")
        assert (row.source_event_id, row.emitter, row.flow) == ("decision-1", hub.world.ids["cd"], "api")
        await hub.world.pump()
        assert await hub.world.states("ft") == ["delivered"]
        assert (await hub.world.reconcile()).unaccounted == 0
