"""Publishing: a receipt means durable; same again is the same; what is not taken leaves nothing and says why."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from hub.gateway import api
from hub.gateway.group import Collector
from hub.store.database import NoRoom
from tests.gateway.doors import Doors, decision, doors, event, person, request


async def test_an_event_is_accepted_and_durable(database):
    async with doors(database) as hub:
        answer = await hub.publish("cd", decision())
        assert answer.status_code == 202, answer.text
        receipt = answer.json()
        row = (await hub.world.sql("select id, no, source_event_id, emitter, flow from event"))[0]
        assert (receipt["id"], receipt["sequence"]) == (str(row.id), row.no)
        assert receipt["accepted_at"].endswith("+00:00")
        assert (row.source_event_id, row.emitter, row.flow) == ("decision-1", hub.world.ids["cd"], "api")
        await hub.world.pump()
        assert await hub.world.states("ft") == ["delivered"]
        assert (await hub.world.reconcile()).unaccounted == 0


async def test_the_same_id_again_gives_the_same_receipt(database):
    async with doors(database) as hub:
        first = await hub.publish("cd", decision())
        again = await hub.publish("cd", decision())
        assert (again.status_code, again.json()) == (202, first.json())
        assert await hub.events() == 1


async def test_the_order_of_keys_makes_no_other_body(database):
    async with doors(database) as hub:
        first = decision()
        turned = dict(reversed(first.items())) | {"data": dict(reversed(first["data"].items()))}
        receipts = [(await hub.publish("cd", e)).json()["id"] for e in (first, turned)]
        assert receipts[0] == receipts[1]


async def test_another_body_under_a_used_id_is_a_conflict_without_effect(database):
    async with doors(database) as hub:
        await hub.publish("cd", decision())
        answer = await hub.publish("cd", decision(parcours="PRO"))
        assert (answer.status_code, answer.json()["reason"]) == (409, "other_body")
        assert await hub.events() == 1


async def test_two_senders_may_use_the_same_id(database):
    async with doors(database) as hub:
        one = await hub.publish("cd", decision())
        other = await hub.publish("ft", decision(decider="FT_DEFAULT", organism="FT"))
        assert one.json()["id"] != other.json()["id"]
        assert await hub.events() == 2


@pytest.mark.parametrize("key", ["", "Bearer spie_wrong", "Basic c3BpZTo=", "Bearer"])
async def test_without_a_key_nothing_is_read(database, key):
    async with doors(database) as hub:
        answer = await hub.client.post(
            "/v1/events",
            content=b"not read",
            headers={"Authorization": key, "Content-Type": "application/cloudevents+json"},
        )
        assert (answer.status_code, answer.json()["reason"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_revoked_key_opens_nothing_and_the_other_one_does(database):
    from hub.gateway.auth import create_key, keys, revoke_keys

    async with doors(database) as hub:
        partner, app = hub.world.ids["cd"], hub.world.app
        await hub.publish("cd", decision())
        second = await create_key(app.database, partner)
        first_id = (await keys(app.database, partner))[0].id
        assert await revoke_keys(app.database, partner, first_id) == [first_id]
        assert (await hub.publish("cd", decision())).status_code == 401
        hub.keys["cd"] = second
        assert (await hub.publish("cd", decision())).status_code == 202


async def test_only_hashes_of_keys_are_stored(database):
    async with doors(database) as hub:
        await hub.publish("cd", decision())
        stored = str(await hub.world.sql("select to_jsonb(k) as k from api_key k"))
        assert hub.keys["cd"] not in stored
        assert hub.keys["cd"].removeprefix("spie_") not in stored


async def test_who_may_not_emit_is_refused_with_code_and_sentence(database):
    async with doors(database) as hub:
        answer = await hub.publish("s1", decision())
        assert answer.status_code == 403
        assert answer.json()["reason"] == "not_an_emitter"
        assert answer.json()["detail"] == "This kind of organisation does not emit this record."
        assert answer.headers["content-type"] == "application/problem+json"
        assert await hub.events() == 0


async def test_a_measure_goes_round_by_the_reference_of_its_receipt(database):
    """Request by the Département, answer by the structure that quotes the measure: nobody repeats who it is."""
    async with doors(database) as hub:
        asked = await hub.publish("cd", request(1, hub.world.ids["s1"]))
        assert asked.status_code == 202, asked.text
        measure = asked.json()["references"]["measure_id"]
        again = await hub.publish("cd", request(1, hub.world.ids["s1"]))
        assert again.json() == asked.json()
        await hub.world.pump()
        answer = event(
            "MeasureAnswered", "answer-1",
            {"measure_id": measure, "answer": "ACCEPTED", "answered_on": "2026-05-01"}, subject=measure,
        )  # fmt: skip
        taken = await hub.publish("s1", answer)
        assert taken.status_code == 202, taken.text
        assert "references" not in taken.json()
        assert len(await hub.world.sql("select distinct person from event")) == 1


async def test_a_reference_of_another_looks_like_none(database):
    async with doors(database) as hub:
        measure = (await hub.publish("cd", request(1, hub.world.ids["s1"]))).json()["references"][
            "measure_id"
        ]
        await hub.world.pump()
        data = {"answer": "ACCEPTED", "answered_on": "2026-05-01"}
        others = await hub.publish("s2", event("MeasureAnswered", "a", {"measure_id": measure, **data}))
        nobodys = await hub.publish("s2", event("MeasureAnswered", "b", {"measure_id": str(uuid4()), **data}))
        assert others.json() == nobodys.json()
        assert (others.status_code, others.json()["reason"]) == (422, "unknown_reference")


async def test_a_new_person_needs_names_and_birth_date(database):
    async with doors(database) as hub:
        answer = await hub.publish("cd", decision(person={"own_id": "x"}))
        assert (answer.status_code, answer.json()["reason"]) == (422, "identity_incomplete")


async def test_a_person_is_the_same_by_the_senders_own_id(database):
    async with doors(database) as hub:
        await hub.publish("cd", decision(1, id="a"))
        await hub.publish("cd", decision(id="b", person={"own_id": "dossier-1"}))
        assert len(await hub.world.sql("select distinct person from event")) == 1


async def test_real_people_are_refused_until_rights_are_built(database):
    async with doors(database) as hub:
        answer = await hub.publish("cd", decision(person=person(1, nir="2850475056012", sex="F")))
        assert (answer.status_code, answer.json()["reason"]) == (422, "not_invented")
        assert answer.json()["errors"][0]["pointer"].endswith("/nir")


async def test_a_referents_contact_is_sealed_with_the_person(database):
    async with doors(database) as hub:
        data = {
            "scope": "UNIQUE",
            "structure": hub.world.ids["s1"],
            "starts_on": "2026-04-12",
            "person": person(1, referent={"name": "Camille Exemple", "phone": "+33100000000"}),
        }
        answer = await hub.publish("cd", event("ReferentDesignated", "ref-1", data))
        assert answer.status_code == 202, answer.text
        body = bytes((await hub.world.sql("select body from event"))[0].body)
        assert b"Camille" not in body
        await hub.world.pump()
        assert await hub.world.states("ft") == ["delivered"]


async def test_the_time_of_an_event_is_never_later_than_its_arrival(database):
    """Else a wrong clock at a sender would keep newer contacts from being taken."""
    async with doors(database) as hub:
        early = decision(1, id="a") | {"time": "2026-04-01T08:00:00+02:00"}
        late = decision(2, id="b") | {"time": "2999-01-01T00:00:00Z"}
        for one in (early, late):
            assert (await hub.publish("cd", one)).status_code == 202
        found = await hub.world.sql("select body, occurred_at from event order by no")
        observed = [hub.world.app.codec.decode(bytes(r.body)).value["observed_at"] for r in found]
        assert observed[0].isoformat() == "2026-04-01T06:00:00+00:00"
        assert observed[1].year < 2999
        assert found[1].occurred_at.year == 2999


async def test_the_example_of_the_readme_is_accepted(database):
    readme = (Path(api.__file__).parent / "README.md").read_text(encoding="utf-8")
    example = json.loads(readme.split("-d '", 1)[1].split("'", 1)[0])
    async with doors(database) as hub:
        answer = await hub.publish("cd", example)
        assert answer.status_code == 202, answer.text
        assert answer.json().keys() == {"id", "sequence", "accepted_at", "references"}


# ------------------------------------------------------------------ batches
async def test_each_item_of_a_batch_is_taken_or_refused_alone(database):
    async with doors(database) as hub:
        answer = await hub.publish(
            "cd",
            decision(1, id="a"),
            decision(2, id="b", parcours="NO_SUCH"),
            decision(3, id="c", person=None),
            decision(4, id="d"),
            decision(1, id="a"),
            decision(1, id="a", parcours="PRO"),
            batch=True,
        )
        assert answer.status_code == 202
        items = answer.json()
        assert [i["status"] for i in items] == [202, 422, 422, 202, 202, 409]
        assert items[1]["problem"]["errors"][0]["pointer"] == "/data/parcours"
        assert items[4]["receipt"] == items[0]["receipt"]
        assert await hub.events() == 2


@pytest.mark.parametrize("body", [b"[]", b"{}", b"1"])
async def test_a_batch_is_a_list_of_events(database, body):
    async with doors(database) as hub:
        answer = await hub.send("cd", body, "application/cloudevents-batch+json")
        assert (answer.status_code, answer.json()["reason"]) == (413, "batch_size")


# ------------------------------------------------------------------ the database has trouble
async def test_no_room_is_507_and_says_when_to_come_again(database, monkeypatch):
    async with doors(database) as hub:
        monkeypatch.setattr(hub.world.app.acceptor, "accept", _raising(NoRoom("full")))
        one = await hub.publish("cd", decision())
        assert (one.status_code, one.json()["reason"]) == (507, "no_room")
        assert int(one.headers["Retry-After"]) > 0
        several = await hub.publish("cd", decision(1, id="a"), decision(2, id="b"), batch=True)
        assert several.status_code == 507
        some = await hub.publish("cd", decision(1, id="a"), decision(2, id="b", parcours="X"), batch=True)
        assert [i["status"] for i in some.json()] == [507, 422]


async def test_a_lost_database_is_503_never_a_receipt(database, monkeypatch):
    async with doors(database) as hub:
        monkeypatch.setattr(hub.world.app.acceptor, "accept", _raising(ConnectionResetError()))
        answer = await hub.publish("cd", decision())
        assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable")


async def test_a_failure_of_the_hub_is_500_and_its_text_stays_inside(database, monkeypatch, caplog):
    async with doors(database) as hub:
        monkeypatch.setattr(hub.world.app.acceptor, "accept", _raising(KeyError("INVENTE1")))
        answer = await hub.publish("cd", decision())
        assert (answer.status_code, answer.json()["reason"]) == (500, "failed")
        monkeypatch.setattr(hub.world.app, "desk_ready", _raising(KeyError("INVENTE1")))
        monkeypatch.setattr(hub.world.app.desk, "_partners", {})
        outside = await hub.publish("cd", decision())
        assert outside.status_code == 500
        assert "INVENTE1" not in answer.text + outside.text + caplog.text


async def test_a_full_queue_is_503(database, monkeypatch):
    async with doors(database) as hub:

        async def full(*_):
            from hub.gateway.group import Busy

            raise Busy

        monkeypatch.setattr(Collector, "publish", full)
        answer = await hub.publish("cd", decision())
        assert (answer.status_code, answer.json()["reason"]) == (503, "busy")


def _raising(error: Exception):
    async def accept(*_, **__):
        raise error

    return accept


# ------------------------------------------------------------------ what became of it
async def test_a_sender_learns_what_became_of_it_at_whom_it_named(database):
    async with doors(database) as hub:
        sent = (await hub.publish("cd", request(1, hub.world.ids["s1"]))).json()
        assert await _status(hub, "cd", sent["id"]) == {"s1": "not_yet"}
        await hub.world.pump()
        read = await hub.read("cd", sent["id"])
        assert read.json()["sequence"] == sent["sequence"]
        assert read.json()["source_event_id"] == "request-1"
        assert read.json()["type"] == "fr.spie.measures.MeasureRequested.v1"
        assert await _status(hub, "cd", sent["id"]) == {"s1": "received"}


async def test_who_was_not_named_is_not_told_of(database):
    async with doors(database) as hub:
        sent = (await hub.publish("cd", decision(structure=hub.world.ids["ml"], organism="ML"))).json()
        await hub.world.pump()
        assert await hub.world.states("ft") == ["delivered"]
        assert await _status(hub, "cd", sent["id"]) == {"ml": "received"}


async def test_a_refusal_is_told_with_its_code(database):
    from hub.sdk.outbound import Outcome

    async with doors(database) as hub:
        hub.world.partner("s1").programme.append(Outcome("refused", "COMPLET"))
        sent = (await hub.publish("cd", request(1, hub.world.ids["s1"]))).json()
        await hub.world.pump()
        found = (await hub.read("cd", sent["id"])).json()["addressees"]
        assert [(a["status"], a["code"]) for a in found] == [("refused", "COMPLET")]


async def test_an_objection_is_not_told_as_a_reason(database):
    async with doors(database) as hub:
        first = (await hub.publish("cd", decision(1))).json()
        await hub.world.sql("update person set objections = '{*}' returning 1")
        sent = (
            await hub.publish("cd", request(1, hub.world.ids["s1"], person={"own_id": "dossier-1"}))
        ).json()
        await hub.world.pump()
        row = await hub.world.sql(
            "select state, reason from delivery where record = 'MeasureRequested' and partner = :p",
            p=hub.world.ids["s1"],
        )
        assert [(r.state, r.reason) for r in row] == [("withheld", "objection")]
        found = (await hub.read("cd", sent["id"])).json()["addressees"]
        assert [(a["status"], a["reason"]) for a in found] == [("not_sent", None)]
        assert first["id"] != sent["id"]


async def test_what_may_have_arrived_is_told_as_unknown(database):
    async with doors(database) as hub:
        hub.world.partner("s1").programme.append("lost")
        sent = (await hub.publish("cd", request(1, hub.world.ids["s1"]))).json()
        await hub.world.pump()
        assert await _status(hub, "cd", sent["id"]) == {"s1": "not_yet"}
        await hub.world.skip(10)
        from hub.delivery.repair import skip

        ids = [r.id for r in await hub.world.sql("select id from delivery where state = 'waiting'")]
        assert (await skip(hub.world.app.database, ids, "out of use", "test")).done == ids
        assert await _status(hub, "cd", sent["id"]) == {"s1": "unknown"}


async def test_an_event_is_read_by_its_sender_and_is_nothing_to_anybody_else(database):
    async with doors(database) as hub:
        sent = (await hub.publish("cd", request(1, hub.world.ids["s1"]))).json()
        await hub.world.pump()
        answers = [await hub.read(p, i) for p in ("s1", "ft") for i in (sent["id"], str(uuid4()), "1", "'")]
        assert {a.status_code for a in answers} == {404}
        assert len({a.text for a in answers}) == 1
        assert (await hub.client.get(f"/v1/events/{sent['id']}")).status_code == 401


async def _status(hub: Doors, partner: str, event: str) -> dict[str, str]:
    """Addressee by its name in the world → status."""
    names = {id: name for name, id in hub.world.ids.items()}
    found = (await hub.read(partner, event)).json()["addressees"]
    return {names[a["partner"]]: a["status"] for a in found}


def test_every_refusal_of_accept_has_a_status_and_a_sentence():
    """Reasons are words in code; a new one must be given to senders in words too."""
    import re

    import hub
    from hub.gateway.problems import Problem, codes

    root = Path(hub.__file__).parent
    text = "".join(p.read_text() for p in (root / "intake").glob("build*.py"))
    text += "".join(
        re.findall(r"def measure_refusal.*?\n\n\n", (root / "rights/territory.py").read_text(), re.S)
    )
    text += "".join(re.findall(r"Refused\(\"\w+\"\)", (root / "people/matching.py").read_text()))
    reasons = set(re.findall(r"(?:Refusal|Refused)\(\s*\"(\w+)\"", text))
    reasons |= set(re.findall(r"return \"(\w+)\"", text)) | set(re.findall(r"\"(measure_type_\w+)\"", text))
    assert {"not_invented", "unknown_reference", "measure_type_is_sensitive", "said_by_the_hub"} <= reasons
    for reason in reasons:
        assert Problem(reason).code in codes(), reason
