"""Reads the metrics of a server as Prometheus' own client does."""

from typing import Any, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from antiphon.server.metrics import metrics_app
from antiphon.service.platform import Platform
from support.asgi import Answer, Client

Sample: TypeAlias = tuple[str, frozenset[tuple[str, str]]]

ON = {"metrics": {"listen": "127.0.0.1:0"}}
"""Settings with which a platform has metrics; nothing listens."""


class Metrics:
    """The samples of one reading."""

    def __init__(self, text: str) -> None:
        self.families = {one.name: one for one in text_string_to_metric_families(text)}
        self.samples = {
            (one.name, frozenset(one.labels.items())): one.value
            for family in self.families.values()
            for one in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """Return the value of one sample, with exactly these labels; 0 if there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of all samples of a name, by the values of their labels in order."""
        return {
            tuple(value for _, value in sorted(labels)): number
            for (one, labels), number in self.samples.items()
            if one == name
        }


async def scrape(platform: Platform, **headers: str) -> Answer:
    """Ask a server for its metrics."""
    return await Client(metrics_app(platform), {}).get("/metrics", **headers)


async def metrics_of(platform: Platform) -> Metrics:
    """Return the metrics of a server."""
    answer = await scrape(platform)
    assert answer.status == 200, answer.body
    return Metrics(answer.body.decode())


def labels_of(metrics: Metrics) -> set[Any]:
    """Return every value of a label."""
    return {value for _, labels in metrics.samples for _, value in labels}
