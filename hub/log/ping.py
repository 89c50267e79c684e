"""Whether the broker answers, for readiness."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient


def answers(bootstrap: str, timeout: float = 2.0) -> bool:
    """True when a broker of `bootstrap` tells its metadata within `timeout` seconds. Blocks: call it in a thread."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        client.list_topics(timeout=timeout)
    except KafkaException:
        return False
    return True
