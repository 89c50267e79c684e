"""`hub event`, `hub why`, `hub reconcile`, `hub finding`, `hub review`, `hub key`: what they tell, what they never tell, exit codes."""

from __future__ import annotations

import hashlib

import pytest

from hub.delivery.routing import write_finding
from hub.log.scan import Seen
from hub.store.database import run, transaction
from tests.cli.terminal import Terminal, terminal
from tests.hubs import decided, entrant, make_world, moved, subject


@pytest.fixture
async def hub(database, monkeypatch) -> Terminal:
    world = await make_world(database)
    await world.accept("caf", [entrant(1), entrant(2)])
    await world.accept("cd", [decided(1, world)])
    await world.pump()
    yield terminal(world, monkeypatch)
    await world.app.close()


async def test_events_are_listed_newest_first_by_pages(hub):
    first = await hub.json("event", "list", "--limit", 2)
    assert [e["record"] for e in first["events"]] == ["OrientationDecided", "NewRsaEntrant"]
    rest = await hub.json("event", "list", "--limit", 2, "--before", first["next"])
    assert [e["record"] for e in rest["events"]] == ["NewRsaEntrant"]
    assert rest["next"] is None
    assert first["events"][0]["no"] > first["events"][1]["no"] > rest["events"][0]["no"]


async def test_events_are_filtered_by_record_sender_and_time(hub):
    assert len((await hub.json("event", "list", "--record", "NewRsaEntrant"))["events"]) == 2
    assert len((await hub.json("event", "list", "--partner", hub.world.ids["cd"]))["events"]) == 1
    assert len((await hub.json("event", "list", "--since", "2026-01-01"))["events"]) == 3
    assert (await hub.json("event", "list", "--since", "2999-01-01T00:00Z"))["events"] == []
    assert (await hub.run("event", "list", "--since", "yesterday")).exit_code == 2


async def test_an_event_is_shown_by_id_or_number_with_its_blocks_sealed(hub):
    line = (await hub.json("event", "list", "--record", "OrientationDecided"))["events"][0]
    found = await hub.json("event", "show", line["id"])
    assert found == await hub.json("event", "show", line["no"])
    assert found["fields"]["parcours"]
    assert found["sealed"]["person"] > 0
    assert "person" not in found["fields"]
    assert {d["partner"]: d["state"] for d in found["deliveries"]} == {
        hub.world.ids["cd"]: "withheld",
        hub.world.ids["ft"]: "delivered",
    }


async def test_nothing_personal_is_ever_shown(hub):
    line = (await hub.json("event", "list", "--record", "NewRsaEntrant"))["events"][0]
    shown = ""
    for command in (
        ("event", "list"),
        ("event", "show", line["id"]),
        ("delivery", "list"),
        ("review", "list"),
        ("why", line["id"], hub.world.ids["cd"]),
        ("reconcile",),
    ):
        for flag in ((), ("--json",)):
            result = await hub.run(*command, *flag)
            assert result.exit_code == 0, result.output
            shown += result.output
    for secret in ("INVENTE", "Personne", "1981-", "1982-", "0000001", "0000002"):
        assert secret not in shown, secret


async def test_an_unknown_event_is_an_error_in_words(hub):
    for which in ("999999", "9" * 30, "3f0e6a52-6a0c-4b57-9c1d-0b8f5f6f1a01", "x"):
        result = await hub.run("event", "show", which)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.output
    assert (await hub.run("why", "999999", hub.world.ids["cd"])).exit_code == 1


async def test_why_tells_the_chain_of_decisions(hub):
    line = (await hub.json("event", "list", "--record", "OrientationDecided"))["events"][0]
    told = await hub.json("why", line["id"], hub.world.ids["ft"])
    assert told["outcome"] == "delivered"
    assert [s["what"].split()[0] for s in told["steps"][:2]] == ["accepted", "not"]
    withheld = await hub.run("why", line["no"], hub.world.ids["cd"])
    assert withheld.exit_code == 0
    assert "withheld (own_event): The organisation sent this itself." in withheld.output
    assert (await hub.json("why", line["no"], hub.world.ids["s1"]))["outcome"] == "not_concerned"


async def test_reconcile_proves_and_exits_with_3_when_it_cannot(hub):
    proof = await hub.json("reconcile")
    assert (proof["events"], proof["unaccounted"]) == (3, 0)
    shown = await hub.run("reconcile")
    assert shown.stdout.endswith("unaccounted: 0\n")
    async with transaction(hub.world.app.database) as connection:
        await run(connection, "set local session_replication_role = replica")
        await run(connection, "delete from delivery where state = 'withheld'")
    broken = await hub.json("reconcile", code=3)
    assert broken["unaccounted"] == 1
    assert broken["findings"][0]["what"] == "a delivery is missing"
    shown = await hub.run("reconcile")
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (3, "unaccounted: 1")


async def test_a_scan_without_a_broker_is_an_error_and_no_proof(hub):
    result = await hub.run("reconcile", "--scan")
    assert result.exit_code == 1
    assert "the broker does not answer" in result.stderr


async def test_a_finding_is_closed_by_a_person_with_a_reason(hub):
    record = Seen("spie.entrants", 3, 7, None, hashlib.sha256(b"x").digest())
    async with transaction(hub.world.app.database) as connection:
        await write_finding(connection, record, "no_header")
    found = (await hub.json("finding", "list"))["findings"]
    assert [(f["kind"], f["place"]) for f in found] == [("no_header", "spie.entrants/3@7")]
    assert (await hub.json("reconcile", code=3))["unaccounted"] == 1
    assert (await hub.run("finding", "close", found[0]["id"], "--reason", "x")).exit_code == 1
    closed = await hub.json("finding", "close", found[0]["id"], "--reason", "test record of the vendor")
    assert closed == {"closed": found[0]["id"], "reason": "test record of the vendor"}
    assert (await hub.json("finding", "list"))["findings"] == []
    kept = (await hub.json("finding", "list", "--all"))["findings"][0]
    assert kept["reason"] == "test record of the vendor"
    assert kept["who"]
    assert (await hub.json("reconcile"))["unaccounted"] == 0
    assert (await hub.run("finding", "close", found[0]["id"], "--reason", "once more")).exit_code == 1


async def test_a_doubtful_identity_is_a_review_line(hub):
    twin = subject(1, own_key=("CAF", "761", "0000001", "DEM"), birth_date="1999-09-09")
    await hub.world.accept("caf", [entrant(3, subject=twin)])
    lines = (await hub.json("review", "list"))["reviews"]
    assert [line["reason"] for line in lines] == ["birth_date_differs"]
    assert lines[0]["person"]
    shown = await hub.run("review", "list")
    assert "birth_date_differs: The same key of the source, with another birth date." in shown.output


async def test_every_reason_for_a_review_has_a_sentence():
    from typing import get_args

    from hub.people.matching import ReviewReason
    from hub.people.review import REASONS

    assert set(get_args(ReviewReason)) <= REASONS.keys()


async def test_a_key_is_printed_once_and_revoked_by_its_id(hub):
    partner = hub.world.ids["cd"]
    made = await hub.run("key", "create", partner)
    key = made.stdout.strip()
    assert made.exit_code == 0
    assert key.startswith("spie_")
    listed = await hub.json("key", "list", partner)
    assert [k["partner"] for k in listed["keys"]] == [partner]
    assert key not in str(listed)
    id = listed["keys"][0]["id"]
    assert (await hub.json("key", "revoke", partner, "--key", id))["revoked"] == [id]
    assert (await hub.run("key", "revoke", partner)).exit_code == 1
    assert (await hub.run("key", "create", "nobody")).exit_code == 1


async def test_times_are_shown_with_their_zone(hub):
    await hub.world.accept("caf", [moved(1, 1)])
    shown = await hub.run("event", "list")
    assert " CET" in shown.stdout or " CEST" in shown.stdout
    for event in (await hub.json("event", "list"))["events"]:
        assert event["accepted_at"].endswith("Z")
