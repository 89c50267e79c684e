"""FastStream as the hub needs it: five defaults that would lose or stall records are overridden here, once.

Idempotent producer, no automatic topics, manual acknowledgement, reading from the start, and a parser that never
raises (a header that is not UTF-8 would otherwise be skipped in silence).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

log = logging.getLogger("hub.log")
# FastStream says at every start what we decided once: topics are made by hub.log.topics, never by a reader
log.addFilter(lambda record: not str(record.msg).startswith("Auto create topics is disabled"))


def broker(bootstrap: str, client_id: str) -> KafkaBroker:
    """A broker for `bootstrap` ("host:port,…"). Nothing is connected before ``start()`` or ``connect()``."""
    return KafkaBroker(
        bootstrap,
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        compression_type="zstd",
        linger_ms=5,
        max_batch_size=131_072,
        allow_auto_create_topics=False,
        request_timeout_ms=10_000,
        metadata_max_age_ms=30_000,
        graceful_timeout=20,
        apply_types=False,
        logger=log,
        log_level=logging.DEBUG,
    )


def batches(made: KafkaBroker, topics: Sequence[str], group: str, instance: str | None = None) -> Any:
    """A batch subscriber of `topics`: its handler gets the tuple of raw records and acknowledges by `commit`.

    `instance`: a static member, so that a killed process that starts again need not wait until its old session ends."""
    return made.subscriber(
        *topics,
        group_id=group,
        group_instance_id=instance,
        batch=True,
        max_records=500,
        batch_timeout_ms=50,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=1_000,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=262_144,
        parser=_raw,
        decoder=_records,
    )


async def _raw(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    first = records[0]
    return KafkaMessage(
        body=b"",
        headers={},
        batch_headers=[],
        content_type=None,
        message_id=f"{first.topic}-{first.partition}-{first.offset}",
        raw_message=records,
        consumer=FAKE_CONSUMER,
    )


async def _records(message: KafkaMessage) -> Any:
    return message.raw_message
