"""`hub delivery`: lists by state and reason; 4 when a rule leaves an item as it is."""

from __future__ import annotations

import pytest

from hub.sdk.outbound import Outcome
from tests.cli.terminal import Terminal, terminal
from tests.hubs import entrant, make_world


@pytest.fixture
async def hub(database, monkeypatch) -> Terminal:
    """Two deliveries that need a person, one delivered."""
    world = await make_world(database)
    await world.accept("caf", [entrant(1), entrant(2), entrant(3)])
    world.partner("cd").programme.extend([Outcome("several_matches")] * 2)
    await world.pump()
    yield terminal(world, monkeypatch)
    await world.app.close()


async def test_deliveries_are_listed_by_state_reason_and_partner(hub):
    human = (await hub.json("delivery", "list", "--state", "human"))["deliveries"]
    assert [d["reason"] for d in human] == ["several_matches"] * 2
    assert len((await hub.json("delivery", "list", "--reason", "several_matches"))["deliveries"]) == 2
    assert len((await hub.json("delivery", "list", "--partner", hub.world.ids["cd"]))["deliveries"]) == 3
    page = await hub.json("delivery", "list", "--limit", 2)
    assert len((await hub.json("delivery", "list", "--before", page["next"]))["deliveries"]) == 1
    assert (await hub.run("delivery", "list", "--state", "lost")).exit_code == 2
    shown = await hub.run("delivery", "list", "--state", "human")
    assert "Let the partner tell which one it is, then retry." in shown.output


async def test_all_like_one_are_tried_again(hub):
    one = (await hub.json("delivery", "list", "--state", "human"))["deliveries"][0]["id"]
    result = await hub.json("delivery", "retry", "--all-like", one)
    assert (len(result["done"]), result["refused"]) == (2, {})
    await hub.world.pump()
    assert await hub.world.states("cd") == ["delivered"] * 3
    assert (await hub.json("reconcile"))["unaccounted"] == 0
    assert await hub.json("delivery", "retry", "--all-like", one) == {"done": [], "refused": {}}


async def test_what_a_rule_forbids_is_said_and_exits_with_4(hub):
    delivered = (await hub.json("delivery", "list", "--state", "delivered"))["deliveries"][0]["id"]
    result = await hub.json("delivery", "skip", delivered, "--reason", "not wanted", code=4)
    assert result["refused"] == {
        str(delivered): "it is delivered; only what waits or needs a person can be skipped"
    }
    shown = await hub.run("delivery", "retry", delivered)
    assert shown.exit_code == 4
    assert f"delivery {delivered} stays as it is" in shown.stderr


async def test_who_did_it_and_why_is_in_the_log(hub, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "camille")
    ids = [d["id"] for d in (await hub.json("delivery", "list", "--state", "human"))["deliveries"]]
    await hub.json("delivery", "skip", ids[0], "--reason", "decided in their own system")
    await hub.json("delivery", "confirm", ids[1], "--reason", "seen at the partner")
    lines = await hub.world.sql(
        "select from_state, to_state, reason, who from delivery_log where who is not null order by id"
    )
    assert [tuple(r) for r in lines] == [
        ("human", "skipped", "decided in their own system", "camille"),
        ("human", "delivered", "seen at the partner", "camille"),
    ]
    told = await hub.json("why", (await hub.json("event", "list"))["events"][-1]["no"], hub.world.ids["cd"])
    assert any(s["details"].get("who") == "camille" for s in told["steps"])
    assert (await hub.json("reconcile"))["unaccounted"] == 0


async def test_usage_and_unknown_numbers(hub):
    assert (await hub.run("delivery", "retry")).exit_code == 2
    assert (await hub.run("delivery", "retry", 1, "--all-like", 1)).exit_code == 2
    assert (await hub.run("delivery", "skip", 1)).exit_code == 2
    missing = await hub.run("delivery", "retry", 999_999)
    assert (missing.exit_code, missing.stderr) == (1, "error: there is no delivery 999999\n")
    assert (await hub.run("delivery", "retry", "--all-like", 999_999)).exit_code == 1
