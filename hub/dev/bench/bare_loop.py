"""The limit that the hub is compared with: a bare confluent-kafka loop over the same records, one output each, no ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from hub.app import App
from hub.dev.bench.null.outbound import translate
from hub.sdk.outbound import EventView, Recipient

Place = Mapping[tuple[str, int], int]
"""(topic, partition) → offset."""


def client(app: App, **settings: Any) -> dict[str, Any]:
    """Settings of a confluent-kafka client of the bench; its library keeps quiet about connections that come and go."""
    return {"bootstrap.servers": app.settings.kafka, "log_level": 2} | settings


def ends(app: App, patience: float = 30.0) -> Place:
    """Where the hub's topics end now; topics just made are waited for. Raises KafkaException."""
    reader = Consumer(client(app, **{"group.id": "hub-bench"}))
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                known = reader.list_topics(timeout=30).topics
                parts = [
                    TopicPartition(topic, part) for topic in app.topics for part in known[topic].partitions
                ]
                return {(p.topic, p.partition): reader.get_watermark_offsets(p, timeout=30)[1] for p in parts}
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)
    finally:
        reader.close()


def run(app: App, start: Place, events: int) -> float:
    """Consume `events` records from `start`, decode, translate, encode, produce; the seconds it took."""
    out = f"{app.settings.topic_prefix}hub-bench.{uuid4().hex[:8]}"
    admin = AdminClient(client(app))
    admin.create_topics([NewTopic(out, 12, 1)])[out].result(30)
    consumer = Consumer(client(app, **{"group.id": "hub-bench", "enable.auto.commit": False}))
    producer = Producer(
        client(app, **{"enable.idempotence": True, "linger.ms": 5, "compression.type": "zstd"})
    )
    recipient = Recipient("bench", "p1:BENCH")
    now = datetime.now(UTC)
    codec, done = app.codec, 0
    try:
        consumer.assign([TopicPartition(topic, part, offset) for (topic, part), offset in start.items()])
        began = time.perf_counter()
        while done < events:
            for record in consumer.consume(500, 1.0):
                decoded = codec.decode(record.value())
                fields = {k: v for k, v in decoded.value.items() if not isinstance(v, bytes)}
                view = EventView(decoded.record, "", record.offset(), now, decoded.value["territory"], fields)
                producer.produce(out, translate(view, recipient).encode(), key=record.key())
                done += 1
            producer.poll(0)
        producer.flush(60)
        return time.perf_counter() - began
    finally:
        consumer.close()
        admin.delete_topics([out])[out].result(30)
