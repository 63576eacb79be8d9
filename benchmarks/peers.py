"""The gateways of others that run in the race: where they come from, and how they are set up.

Each is set up as its own documentation says for one upstream that speaks the Messages API, with
as little of its own work as it can do, so that what it is at its quickest is measured.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.installs import Package
from benchmarks.servers import HEADERS, HOST, MESSAGES

MODEL = "constant"
BIFROST = "v1.6.4"
"""The program that Bifrost's package fetches."""
KEY = "sk-of-a-peer-that-is-only-for-benchmarks-0123456789"
KEYED = {**HEADERS, "authorization": f"Bearer {KEY}", "x-api-key": KEY}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer runs: its installation, a folder of its own, its ports, and its upstream."""

    program: Path
    home: Path
    port: int
    other_port: int
    upstream: str

    def write(self, name: str, text: str) -> str:
        """Write a file of settings into the peer's folder, and return its path."""
        file = self.home / name
        file.write_text(text, encoding="utf-8")
        return str(file)


@dataclass(frozen=True, slots=True)
class Start:
    """What starts a peer, and how it is asked for a message."""

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    path: str = MESSAGES


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway of others. `lacks` says what it does not do for a request, as it runs here."""

    name: str
    package: Package
    lacks: str
    start: Callable[[Place], Start]


def portkey(place: Place) -> Start:
    """Portkey takes upstream and provider from the headers of each request.

    It listens at all addresses of the machine; it has no setting for that.
    """
    script = place.program / "node_modules/@portkey-ai/gateway/build/start-server.js"
    headers = {
        **HEADERS,
        "x-portkey-provider": "anthropic",
        "x-portkey-custom-host": f"{place.upstream}/v1",
    }
    command = ("node", str(script), f"--port={place.port}", "--headless")
    return Start(command, {"NODE_ENV": "production"}, headers)


def litellm(place: Place) -> Start:
    """LiteLLM's proxy, one worker, no database. It does not start without its one key."""
    config = f"""
model_list:
  - model_name: {MODEL}
    litellm_params:
      model: anthropic/{MODEL}
      api_base: {place.upstream}
      api_key: none
general_settings:
  master_key: {KEY}
"""
    command = (
        str(place.program / "bin" / "litellm"),
        *("--config", place.write("litellm.yaml", config)),
        *("--host", HOST, "--port", str(place.port), "--num_workers", "1"),
    )
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    return Start(command, offline, KEYED)


def _rolter(place: Place, more: str = "") -> Start:
    config = f"""
[server]
host = "{HOST}"
port = {place.port}

[[providers]]
name = "upstream"
kind = "anthropic"
api_base = "{place.upstream}"
api_key = "none"

[[routes]]
model = "{MODEL}"
[[routes.targets]]
provider = "upstream"
model = "{MODEL}"
{more}"""
    command = (str(place.program / "bin" / "rolter"), "gateway", "--config")
    return Start((*command, place.write("rolter.toml", config)), {"RUST_LOG": "error"}, KEYED)


def rolter(place: Place) -> Start:
    """Rolter without keys."""
    return _rolter(place)


def rolter_with_a_key(place: Place) -> Start:
    """Rolter with what it governs from a file alone: a key, and a price for its log."""
    return _rolter(
        place,
        f"""
[[virtual_keys]]
key = "{KEY}"
name = "race"

[[model_prices]]
model = "{MODEL}"
input_per_mtok = 10.0
output_per_mtok = 10.0
""",
    )


def smg(place: Place) -> Start:
    """SMG's router; its own metrics cannot be switched off."""
    command = (
        *(str(place.program / "bin" / "smg"), "launch", "--backend", "anthropic"),
        *("--worker-urls", place.upstream, "--host", HOST, "--port", str(place.port)),
        *("--prometheus-host", HOST, "--prometheus-port", str(place.other_port)),
        *("--log-level", "error"),
    )
    return Start(command)


def bifrost(place: Place) -> Start:
    """Bifrost: its package on npm fetches the program itself from its maker's server."""
    key = {"name": "race", "value": "none", "models": ["*"], "weight": 1.0}
    config = {
        "client": {"enable_logging": False, "drop_excess_requests": False},
        "providers": {
            "anthropic": {"keys": [key], "network_config": {"base_url": place.upstream}},
        },
        "config_store": {"enabled": False},
        "logs_store": {"enabled": False},
    }
    place.write("config.json", json.dumps(config))
    command = (
        *("node", str(place.program / "node_modules/@maximhq/bifrost/bin.js")),
        *("--transport-version", BIFROST, "-app-dir", str(place.home)),
        *("-host", HOST, "-port", str(place.port), "-log-level", "error"),
    )
    # Where its program is kept once it is fetched.
    cache = {"XDG_CACHE_HOME": str(place.program)}
    return Start(command, cache, path=f"/anthropic{MESSAGES}")


UNGOVERNED = "keys, limits, bills, a record of requests"

PEERS: Mapping[str, Peer] = {
    "rolter": Peer("rolter", Package("PyPI", "rolter", "0.1.0"), UNGOVERNED, rolter),
    "rolter-key": Peer(
        "rolter with a key",
        Package("PyPI", "rolter", "0.1.0"),
        "limits, bills (need Redis and a database)",
        rolter_with_a_key,
    ),
    "smg": Peer("SMG", Package("PyPI", "smg", "1.13.0"), UNGOVERNED, smg),
    "bifrost": Peer("Bifrost", Package("npm", "@maximhq/bifrost", "1.6.3"), UNGOVERNED, bifrost),
    "portkey": Peer(
        "Portkey",
        # What its own lock names: with newer ones it answers streams with an error.
        Package(
            "npm",
            "@portkey-ai/gateway",
            "1.15.2",
            held=(("@hono/node-server", "1.13.5"), ("@hono/node-ws", "1.2.0"), ("hono", "4.9.7")),
        ),
        UNGOVERNED,
        portkey,
    ),
    "litellm": Peer(
        "LiteLLM",
        Package("PyPI", "litellm", "1.105.0", "[proxy]"),
        "more keys, limits, bills (need a database)",
        litellm,
    ),
}
