"""Lines leave as one file, in order; the mission locale takes each file once and refuses what it must not get."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from connectors.mission_locale import outbound
from connectors.mission_locale.twin import MissionLocaleTwin
from hub.sdk.outbound import EventView, Message, Nothing, Recipient
from hub.sdk.transports import HttpTransport, files
from tests.connectors.twins import twin_process

NOW = datetime(2026, 3, 20, 9, 0, tzinfo=UTC)
SETTINGS = {"profile": "suivi"}
PERSON = {
    "birth_name": "ESSAI",
    "first_names": ["Lou"],
    "birth_date": "2003-02-14",
    "phones": ["+33639980001"],
}


def line(record: str, event_id: str = "e1", **fields) -> Message | Nothing:
    view = EventView(record, event_id, 1, NOW, "76", {"person": PERSON, **fields})
    return outbound.translate(view, Recipient("p", "u1", settings=SETTINGS))


def decided(event_id: str) -> Message:
    message = line("OrientationDecided", event_id, decision_id="d", parcours="SOCIAL")
    assert isinstance(message, Message)
    return message


def drop(folder, name: str, *messages: Message) -> None:
    files.write_temporary(folder, name, 1, outbound.render(messages, SETTINGS))
    files.publish(folder, name, 1)


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("RsaEntitlementChanged", {"entitled": None}),
        ("ReferentDesignated", {"scope": "UNIQUE"}),
        ("ContactChanged", {"channel": "ADDRESS"}),
        ("ContactChanged", {"channel": "UNKNOWN"}),
        ("DepartmentTransferred", {"direction": "UNKNOWN"}),
        ("PersonCorrected", {"person": {}}),
        ("OrientationDecided", {}),
    ],
)
def test_line_without_its_fact_is_not_written(record, fields):
    assert line(record, **fields) == Nothing()


def test_contact_line_tells_only_the_channel_that_changed():
    message = line("ContactChanged", channel="EMAIL", person=PERSON | {"email": "l@example.org"})
    assert isinstance(message, Message)
    assert "telephones" not in message.body
    assert message.body["courriel"] == "l@example.org"


def test_arrival_is_not_called_a_departure():
    message = line("DepartmentTransferred", direction="IN")
    assert isinstance(message, Message)
    assert message.body["nature"] == "ARRIVEE"


def test_lines_of_a_file_stand_in_order():
    data = outbound.render([decided("e1"), decided("e2"), decided("e3")], SETTINGS).decode("utf-8-sig")
    assert [row.split(";")[0] for row in data.splitlines()[1:]] == ["e1", "e2", "e3"]
    assert data == outbound.render([decided("e1"), decided("e2"), decided("e3")], SETTINGS).decode(
        "utf-8-sig"
    )


def test_twin_takes_each_visible_file_once(tmp_path):
    twin = MissionLocaleTwin(tmp_path)
    drop(twin.folder, "suivi_1.csv", decided("e1"), decided("e2"))
    files.write_temporary(twin.folder, "suivi_2.csv", 1, b"half")
    assert (twin.tick(), twin.tick()) == (1, 0)
    assert [row["id_message"] for row in twin.lines] == ["e1", "e2"]
    assert os.listdir(twin.archive) == ["suivi_1.csv"]
    assert files.look(twin.folder, "suivi_1.csv", 1, [twin.archive]).left


def test_twin_killed_between_reading_and_moving_does_not_read_twice(tmp_path):
    twin = MissionLocaleTwin(tmp_path)
    drop(twin.folder, "suivi_1.csv", decided("e1"))
    twin._take("suivi_1.csv")
    again = MissionLocaleTwin(tmp_path)
    again.tick()
    assert [row["id_message"] for row in again.lines] == ["e1"]
    assert os.listdir(again.archive) == ["suivi_1.csv"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("nir;nature\r\n1;X\r\n".encode("utf-8-sig"), "identifier"),
        ("a;b\r\n".encode("utf-8-sig"), "columns"),
        (b"\xff\xfe", "utf-8-sig"),
        (b"", "columns"),
    ],
)
def test_twin_refuses_what_it_cannot_or_must_not_read(tmp_path, data, why):
    twin = MissionLocaleTwin(tmp_path)
    (twin.folder / "x.csv").write_bytes(data)
    twin.tick()
    assert os.listdir(twin.refused) == ["x.csv"]
    assert why in twin.log.entries[0]["why"]
    assert twin.lines == []


def test_twin_refuses_a_torn_line(tmp_path):
    twin = MissionLocaleTwin(tmp_path)
    whole = outbound.render([decided("e1"), decided("e2")], SETTINGS)
    (twin.folder / "x.csv").write_bytes(whole[:-40])
    twin.tick()
    assert "line 3" in twin.log.entries[0]["why"]


async def test_twin_as_a_process_takes_files_by_itself(tmp_path):
    http = HttpTransport(deadline=5.0)
    with twin_process("connectors.mission_locale.twin", tmp_path) as (url, _):
        drop(tmp_path / "depot", "suivi_1.csv", decided("e1"))
        await http.request("POST", url + "/_twin/tick")
        effects = (await http.request("GET", url + "/_twin/effects")).json()
    await http.aclose()
    assert [(e["effect"], e["keys"]) for e in effects] == [("taken", ["e1"])]
