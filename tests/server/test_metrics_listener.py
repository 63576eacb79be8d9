"""The listener of metrics: an address of its own, beside the server of the API."""

import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from antiphon.server.metrics import bound_metrics, serving_metrics
from antiphon.server.run import ServeError
from antiphon.service.platform import Platform
from antiphon.telemetry_settings import MetricsSettings
from support.asgi import KEY
from support.metrics import ON, Metrics
from support.processes import serving

ANY = MetricsSettings(listen="127.0.0.1:0")


@pytest.mark.anyio
async def test_metrics_are_served_until_the_end_of_the_block(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    started = await platform(ON)
    handlers = signal.getsignal(signal.SIGTERM)
    with bound_metrics(ANY) as listener:
        async with serving_metrics(started, listener) as url, httpx2.AsyncClient() as client:
            assert url is not None
            assert signal.getsignal(signal.SIGTERM) is handlers
            answer = await client.get(url)
            assert answer.status_code == 200
            assert Metrics(answer.text)("antiphon_ready") == 1
            assert (await client.get(url.replace("/metrics", "/v1/models"))).status_code == 404
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)


@pytest.mark.anyio
async def test_nothing_listens_without_the_setting(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    with bound_metrics(MetricsSettings()) as listener:
        assert listener is None
        async with serving_metrics(await platform(), listener) as url:
            assert url is None


def test_address_that_is_taken_is_told_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = MetricsSettings(listen=f"127.0.0.1:{port}")
        with pytest.raises(ServeError) as caught, bound_metrics(taken):
            pass
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port} for metrics: address already in use. Choose another "
        "address with listen in [metrics], or ANTIPHON_METRICS_LISTEN"
    )


def test_name_that_leads_nowhere_is_told() -> None:
    nowhere = MetricsSettings(listen="no-such-host.invalid:1")
    with pytest.raises(ServeError, match="there is no such name"), bound_metrics(nowhere):
        pass


def test_server_says_where_its_metrics_are_and_stops_beside_an_idle_reader(
    tmp_path: Path,
) -> None:
    environ = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_ENGINE": "scripted",
        "ANTIPHON_METRICS_LISTEN": "127.0.0.1:0",
    }
    with serving(tmp_path, environ=environ) as server, httpx2.Client() as reader:
        (line,) = (one for one in server.output.splitlines() if one.startswith("  Metrics"))
        url = line.split()[1]
        assert Metrics(reader.get(url).text)("antiphon_model_ready", model="scripted") == 1
        assert httpx2.get(f"{server.url}/metrics").status_code == 404
        assert server.stop() == 0
