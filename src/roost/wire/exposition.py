"""Figures as Prometheus reads them: its text format, written by prometheus_client.

Every metric that has a value comes with its meaning and its kind, in the order of ``domain.figures.METRICS``; one
that is not in that list is a fault in Roost, and raises ``KeyError``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from roost.domain.figures import COUNTER, METRICS, Figure, Metric, Spread, Told

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(told: Iterable[Told]) -> bytes:
    """Return the text for these figures."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(told)))
    return generate_latest(registry)


class _Once(Collector):
    """What prometheus_client asks for its metrics."""

    def __init__(self, told: list[Told]) -> None:
        self._told = told

    def describe(self) -> Iterable[Family]:
        """Return nothing: there is nothing to compare it with."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Yield the metrics that have a value."""
        by_name: dict[str, list[Told]] = {}
        for one in self._told:
            by_name.setdefault(METRICS[one.name].name, []).append(one)
        for name, metric in METRICS.items():
            if name in by_name:
                yield _family(metric, by_name[name])


def _family(metric: Metric, told: list[Told]) -> Family:
    if metric.bounds:
        histogram = HistogramMetricFamily(metric.name, metric.words, labels=metric.labels)
        for one in told:
            if isinstance(one, Spread):
                limits = (*map(str, metric.bounds), "+Inf")
                histogram.add_metric(one.labels, list(zip(limits, accumulate(one.counts), strict=True)), one.total)
        return histogram
    kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.words, labels=metric.labels)
    for one in told:
        if isinstance(one, Figure):
            family.add_metric(one.labels, one.value)
    return family
