"""The embedded PostgreSQL and Kafka: started together, found again, refused twice, whole after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from hub.dev.embedded import doctor, parts, processes
from hub.settings import Settings
from tests.conftest import new_home

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    made = Settings(home=new_home(), database_url=None, kafka=None)
    parts.start(made)
    yield made
    parts.remove(made)
    assert not made.home.exists()


@pytest.fixture
def running(settings: Settings) -> parts.Parts:
    return parts.start(settings)


def pids(settings: Settings) -> dict[str, int | None]:
    return {status.name: status.pid for status in parts.status(settings)}


async def query(running: parts.Parts, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(running.database_url.replace("+asyncpg", ""))
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


def produce(running: parts.Parts, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": running.kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": running.kafka, "acks": "all", "enable.idempotence": True})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def consume_one(running: parts.Parts, topic: str) -> bytes:
    consumer = Consumer(
        {"bootstrap.servers": running.kafka, "group.id": f"test-{topic}", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([topic])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()


async def test_both_parts_answer_with_durable_settings(settings: Settings, running: parts.Parts) -> None:
    assert [row[0] for row in await query(running, "select 'é' = lower('É')")] == [True]
    names = ("fsync", "synchronous_commit", "server_encoding", "max_wal_size", "max_connections")
    found = {name: (await query(running, f"show {name}"))[0][0] for name in names}
    assert found == dict(zip(names, ("on", "on", "UTF8", "2GB", "200"), strict=True))
    assert len(AdminClient({"bootstrap.servers": running.kafka}).list_topics(timeout=10).brokers) == 1


def test_parts_listen_on_loopback_only(settings: Settings, running: parts.Parts) -> None:
    for pid in pids(settings).values():
        listening = [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert listening
        assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


def test_a_topic_is_not_created_by_asking_for_it(running: parts.Parts) -> None:
    client = AdminClient({"bootstrap.servers": running.kafka})
    client.list_topics("never-created", timeout=10)
    assert "never-created" not in client.list_topics(timeout=10).topics


def test_second_start_adopts_what_runs(settings: Settings, running: parts.Parts) -> None:
    before = pids(settings)
    assert parts.start(settings) == running == parts.attach(settings)
    assert pids(settings) == before


def test_start_is_refused_while_another_hub_holds_the_home(settings: Settings, running: parts.Parts) -> None:
    program = (
        "import sys; from pathlib import Path; from hub.dev.embedded import parts; from hub.settings import Settings\n"
        "with parts.hold(Settings(home=Path(sys.argv[1])), 'hub run'): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(settings.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        for refused in (parts.start, parts.stop):
            with pytest.raises(parts.InUse, match=f"hub run, pid {holder.pid}"):
                refused(settings)
        assert parts.attach(settings) == running
        holder.kill()
    assert parts.start(settings) == running


async def test_kill_9_of_both_loses_nothing_and_keeps_the_ports(
    settings: Settings, running: parts.Parts
) -> None:
    await query(running, "create table kept (value text)")
    await query(running, "insert into kept values ('row')")
    produce(running, "kept", b"record")
    killed = pids(settings)
    for name in parts.NAMES:
        parts.kill_part(settings, name)
    with pytest.raises(parts.NotRunning, match="hub up"):
        parts.attach(settings)

    again = parts.start(settings)

    assert again == running
    assert not set(killed.values()) & set(pids(settings).values())
    assert [row[0] for row in await query(again, "select value from kept")] == ["row"]
    assert consume_one(again, "kept") == b"record"


def test_one_part_stops_and_starts_while_the_other_goes_on(settings: Settings, running: parts.Parts) -> None:
    before = pids(settings)
    parts.stop_part(settings, "postgres")
    assert pids(settings) == before | {"postgres": None}
    parts.start_part(settings, "postgres")
    assert parts.attach(settings) == running
    assert pids(settings)["kafka"] == before["kafka"]


def test_a_stranger_with_a_recorded_pid_is_left_alone(settings: Settings, running: parts.Parts) -> None:
    parts.stop_part(settings, "postgres")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        file = settings.home / "parts.json"
        state = json.loads(file.read_text())
        command = ["postgres", "-D", str(settings.home)]
        created = psutil.Process(stranger.pid).create_time()
        state["processes"]["postgres"] = {"pid": stranger.pid, "created": created, "command": command}
        file.write_text(json.dumps(state))
        try:
            parts.kill_part(settings, "postgres")
            parts.start(settings)
            assert pids(settings)["postgres"] not in (None, stranger.pid)
            assert stranger.poll() is None
        finally:
            stranger.kill()


async def test_a_pid_file_left_behind_does_not_block_the_start(
    settings: Settings, running: parts.Parts
) -> None:
    """After kill -9 PostgreSQL's own file may name a stranger, which it takes for a running server."""
    file = (settings.home / "postgres").resolve() / "data" / "postmaster.pid"
    text = file.read_text().splitlines()
    parts.kill_part(settings, "postgres")
    file.write_text("\n".join([str(os.getpid()), *text[1:]]) + "\n")
    assert await query(parts.start(settings), "select 1")


def test_a_part_that_does_not_answer_any_more_is_replaced(
    settings: Settings, running: parts.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = pids(settings)["postgres"]
    os.kill(frozen, signal.SIGSTOP)
    monkeypatch.setattr(parts, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(parts, "READY_WITHIN", 6.0)
    assert parts.start(settings) == running
    assert pids(settings)["postgres"] not in (None, frozen)


def test_doctor_finds_nothing_wrong(settings: Settings, running: parts.Parts) -> None:
    findings = doctor.examine(settings)
    assert [f for f in findings if f.ok is False] == []
    assert {"database fsync", "database synchronous_commit", "postgres", "kafka"} <= {
        f.check for f in findings
    }


def test_a_part_that_dies_in_its_start_ends_the_other_and_shows_its_log(
    settings: Settings, running: parts.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.stop(settings)
    monkeypatch.setattr(
        parts.Postgres, "command", property(lambda self: ["/bin/sh", "-c", "echo no room >&2; exit 1"])
    )
    with pytest.raises(parts.PartFailed, match="no room"):
        parts.start(settings)
    assert pids(settings) == {"postgres": None, "kafka": None}


def test_up_and_down_work_from_the_command_line(settings: Settings) -> None:
    hub = [str(Path(sys.executable).with_name("hub"))]
    environment = os.environ | {"HUB_HOME": str(settings.home), "HUB_DATABASE_URL": "", "HUB_KAFKA": ""}

    def run(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [*hub, *words, "--json"], env=environment, capture_output=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    up = run("up")  # returns although the parts run on: they hold none of its pipes
    assert {part["name"]: part["ready"] for part in up["parts"]} == {"postgres": True, "kafka": True}
    assert {part["name"]: part["pid"] for part in up["parts"]} == pids(settings)
    assert run("down") == {"stopped": ["postgres", "kafka"]}
    assert run("down") == {"stopped": []}


def test_a_process_waits_for_its_record_and_ends_when_asked(tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []

    def record(process: processes.Process) -> None:
        seen.append((process.pid, (tmp_path / "ran").exists()))

    command = ["/bin/sh", "-c", f"echo started; touch {tmp_path}/ran; exec sleep 600"]
    process = processes.spawn(["sleep", "600"], tmp_path / "log", record)
    assert seen == [(process.pid, False)]
    assert processes.alive(process)
    assert not processes.alive(processes.Process(process.pid, process.created - 60, process.command))
    assert not processes.alive(processes.Process(process.pid, process.created, tuple(command)))
    processes.end(process, patience=5)
    assert not processes.alive(process)


def test_a_starter_that_dies_before_the_record_leaves_no_process(tmp_path: Path) -> None:
    def record(process: processes.Process) -> None:
        raise KeyboardInterrupt(psutil.Process(process.pid))

    with pytest.raises(KeyboardInterrupt) as interrupted:
        processes.spawn(["sleep", "600"], tmp_path / "log", record)
    launched = interrupted.value.args[0]
    assert psutil.wait_procs([launched], timeout=5) == ([launched], [])


def test_a_zombie_counts_as_ended(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "600"])
    process = processes.Process(child.pid, psutil.Process(child.pid).create_time(), ("sleep", "600"))
    while not processes.alive(process):  # its command line shows a moment after the exec
        time.sleep(0.01)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    assert not processes.alive(process)
    child.wait()
