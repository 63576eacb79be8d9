"""The settings of what a server tells of itself to other programs: metrics and traces."""

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.secret import Secret

LARGEST_PORT = 65535
OPT_IN_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
"""The variable in which OpenTelemetry has a list of the conventions that somebody wants."""
GEN_AI = "gen_ai_latest_experimental"
"""What stands in it for the conventions of generative AI."""


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Metrics for Prometheus: the `[metrics]` table. Without `listen` there are none.

    `listen` is an address of their own, `127.0.0.1:9464`; port 0 is a free one. Whoever reads them
    sends `token` if there is one. With `workspaces` answers and refusals are told apart by
    workspace.
    """

    listen: Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[\w.-]+):[0-9]{1,5}\Z")] | None = (
        None
    )
    token: Secret | None = None
    workspaces: bool = False

    def __post_init__(self) -> None:
        if self.listen is not None and self.address()[1] > LARGEST_PORT:
            raise ValueError(f"listen should end in a port, at most {LARGEST_PORT}")

    def address(self, process: int = 0) -> tuple[str, int]:
        """Return host and port for one of several processes, whose ports follow one another.

        Raises `ValueError` without `listen`.
        """
        if self.listen is None:
            raise ValueError("there is no address for metrics")
        host, _, port = self.listen.rpartition(":")
        number = int(port)
        return host.strip("[]"), number + process if number else 0


class TracesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Traces of requests for OpenTelemetry: the `[traces]` table. Without `endpoint` none are sent.

    `endpoint` is where a collector takes OTLP over HTTP, without `/v1/traces`. With `gen_ai` the
    spans of answers follow the conventions of generative AI, which are not stable yet.
    """

    endpoint: Annotated[str, Meta(pattern=r"^https?://[^\s?#]+\Z", max_length=512)] | None = None
    gen_ai: bool = False
