"""The hub's topics: created with their settings from ``schemas/topics.toml`` through the admin client, and checked.

confluent-kafka's AdminClient, because aiokafka's ``alter_configs`` wipes the other overrides of a topic.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from hub.log.registry import Topic


def ensure(
    bootstrap: str, topics: Mapping[str, Topic], replication: int = 1, timeout: float = 30.0
) -> list[str]:
    """Create what is missing; the names created. Idempotent. Raises KafkaException when the broker refuses.

    With fewer brokers than the declared `min.insync.replicas`, that setting is lowered to the replication."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    present = admin.list_topics(timeout=timeout).topics
    missing = [spec for spec in topics.values() if spec.name not in present]
    created = admin.create_topics(
        [
            NewTopic(spec.name, spec.partitions, replication, config=_settings(spec, replication))
            for spec in missing
        ],
        operation_timeout=timeout,
    )
    for future in created.values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return [spec.name for spec in missing]


def _settings(spec: Topic, replication: int) -> dict[str, str]:
    settings = dict(spec.settings)
    if "min.insync.replicas" in settings:
        settings["min.insync.replicas"] = str(min(int(settings["min.insync.replicas"]), replication))
    return settings


def check(bootstrap: str, topics: Mapping[str, Topic], timeout: float = 30.0) -> dict[str, list[str]]:
    """Topic → what differs from its declaration; an empty list means that it is as the hub requires."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    present = admin.list_topics(timeout=timeout).topics
    found: dict[str, list[str]] = {}
    for spec in topics.values():
        if spec.name not in present:
            found[spec.name] = ["missing"]
            continue
        replication = min(len(p.replicas) for p in present[spec.name].partitions.values())
        resource = ConfigResource(ResourceType.TOPIC, spec.name)
        actual = admin.describe_configs([resource])[resource].result(timeout)
        wrong = [
            f"{name} is {actual[name].value}, not {value}"
            for name, value in _settings(spec, replication).items()
            if actual[name].value != value
        ]
        if len(present[spec.name].partitions) != spec.partitions:
            wrong.append(f"{len(present[spec.name].partitions)} partitions, not {spec.partitions}")
        found[spec.name] = wrong
    return found
