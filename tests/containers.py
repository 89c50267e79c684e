"""PostgreSQL and Kafka in containers, for the `stack` fixture where a Docker engine answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from hub.dev.embedded.kafka import CONFIGURATION


class Unavailable(Exception):
    """No Docker engine answers, or it has no way to the images."""


class KafkaContainer(DockerContainer):
    """The official image with the embedded broker's settings; the port that it advertises is fixed beforehand."""

    def __init__(self, image: str = "apache/kafka:4.3.1") -> None:
        super().__init__(image)
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        self.bootstrap = f"{self.get_docker_client().host()}:{port}"
        self.with_bind_ports(9092, port)
        settings = CONFIGURATION | {
            "listeners": "BROKER://:9092,CONTROLLER://:9093",
            "advertised.listeners": f"BROKER://{self.bootstrap}",
            "controller.quorum.voters": "1@localhost:9093",
        }
        for key, value in settings.items():
            self.with_env(f"KAFKA_{key.upper().replace('.', '_')}", value)
        self.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(60))


@contextmanager
def started() -> Iterator[tuple[str, str]]:
    """(database URL, Kafka bootstrap) of two containers that end with the block. Raises Unavailable."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    with ExitStack() as running:
        try:
            kafka = KafkaContainer()
            running.callback(kafka.stop)
            kafka.start()
            postgres = PostgresContainer("postgres:17", driver="asyncpg")
            running.callback(postgres.stop)
            postgres.start()
        except (DockerException, TimeoutError, OSError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        yield postgres.get_connection_url(), kafka.bootstrap
