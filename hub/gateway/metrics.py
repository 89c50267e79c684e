"""Metrics for Prometheus: the overview as gauges, read from SQL at each scrape, so that every process says the same.

Labels are partner ids (opaque), states and reason codes (closed lists): nothing about persons.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from hub.ledger.overview import Overview

MEDIA_TYPE = CONTENT_TYPE_LATEST


class Requests:
    """What this process itself counts: answers by route and status. Routes are templates, never addresses with ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._answered = Counter(
            "hub_http_requests", "Answers of this process.", ("route", "status"), registry=self.registry
        )

    def answered(self, route: str, status: int) -> None:
        """Count one answer."""
        self._answered.labels(route, str(status)).inc()


class _Gauges:
    """A prometheus collector over one overview."""

    def __init__(self, found: Overview | None) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield _gauge("hub_up", "1 when the database answered this scrape.", [((), float(bool(self._found)))])
        if self._found is not None:
            yield from _gauges(self._found)


def _gauges(found: Overview) -> Iterator[Metric]:
    yield _gauge("hub_events", "Events accepted.", [((), found.accepted.total)])
    for name, pending, doc in (
        ("unpublished", found.unpublished, "not on the log yet"),
        ("unrouted", found.unrouted, "not routed yet"),
    ):
        yield _gauge(f"hub_events_{name}", f"Events {doc}.", [((), pending.count)])
        yield _gauge(
            f"hub_events_{name}_oldest_seconds",
            f"Age of the oldest event {doc}.",
            [((), pending.oldest_seconds)],
        )
    yield _gauge(
        "hub_events_routed_from_sql",
        "Events that dispatch had not read in time.",
        [((), found.routed_from_sql)],
    )
    yield _gauge(
        "hub_deliveries",
        "Deliveries by partner and state.",
        [((p.id, state), n) for p in found.partners for state, n in sorted(p.states.items())],
        "partner",
        "state",
    )
    yield _gauge(
        "hub_deliveries_open_oldest_seconds",
        "Age of a partner's oldest open delivery.",
        [((p.id,), p.oldest_open_seconds) for p in found.partners],
        "partner",
    )
    yield _gauge(
        "hub_deliveries_human",
        "Deliveries that need a person, by reason.",
        [((r.reason,), r.count) for r in found.of("human")],
        "reason",
    )
    yield _gauge(
        "hub_deliveries_withheld",
        "Deliveries withheld, by reason.",
        [((r.reason,), r.count) for r in found.of("withheld")],
        "reason",
    )
    yield _gauge(
        "hub_partner_paused",
        "1 while a pause of this kind holds the partner.",
        [((p.id, pause.kind), 1) for p in found.partners for pause in p.pauses],
        "partner",
        "kind",
    )
    yield _gauge(
        "hub_findings_open", "Records on the log that are not accounted for.", [((), found.findings)]
    )
    yield _gauge("hub_reviews_open", "Identity questions that wait for a person.", [((), found.reviews)])


def _gauge(name: str, doc: str, values: list[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
    made = GaugeMetricFamily(name, doc, labels=labels)
    for of, value in values:
        made.add_metric(of, value)
    return made


def render(found: Overview | None, requests: Requests) -> bytes:
    """The text of one scrape. `found` None = the database did not answer."""
    gauges = CollectorRegistry(auto_describe=False)
    gauges.register(_Gauges(found))
    return generate_latest(gauges) + generate_latest(requests.registry)
