"""What limits and prices cost: a server with every limit of every scope, beside one with none set.

Both account for every request: the ledger cannot be switched off. In the governed one the model
has a price, and the organization, the workspace and the key of the caller each have three rate
limits and a spend limit, none of which is reached. Then both, and the bare HTTP layer, are asked
at half of the rate that the governed one can do, which tells what a caller waits for them.
"""

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

import uvloop

from benchmarks.load import Figures, load
from benchmarks.pipeline import bare_http
from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import HEADERS, HOST, MESSAGES, Server, pinned, request, scripted

ADMIN_KEY = "sk-antiphon-admin-only-for-benchmarks"
PRICE = 'price = { input = "0.01", output = "0.01" }\n'
KINDS = (
    "requests_per_minute",
    "input_tokens_per_minute_cache_aware",
    "output_tokens_per_minute",
)
MOST = 900_000_000
CENTS = "800000000"
MOST_ADDED_MS = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for: in each of `rounds`, so many answers."""

    rounds: int = 7
    requests: int = 4000


QUICK = Size(rounds=1, requests=64)


Round: TypeAlias = Mapping[str, tuple[Figures, float]]
"""What each subject did in one round, and the processor time of a request, in µs."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A server, and the headers of its caller."""

    name: str
    server: Server
    headers: dict[str, str]


def measure(size: Size) -> list[Figure]:
    """Run all rounds and return their figures."""
    with scripted() as plain, governed() as governor, bare_http(plain) as http, pinned(1):
        subjects = (Subject("no limits set", plain, HEADERS), governor)
        bare = Subject("bare HTTP layer", http, HEADERS)
        busy = [_round(subjects, size, 0.0) for _ in range(1 + size.rounds)][1:]
        slowest = min(done[governor.name][0].per_second for done in busy)
        calm = [_round((bare, *subjects), size, slowest / 2) for _ in range(size.rounds)]
    table: list[Figure] = []
    for subject in subjects:
        name = subject.name
        times = tuple(done[name][1] for done in busy)
        table += [
            Figure(f"{name}: JSON", "/s", tuple(done[name][0].per_second for done in busy)),
            Figure(f"{name}: processor time", "µs", times),
            *_waited(name, calm),
            _added(name, bare.name, calm),
        ]
    # Processor time, rounds side by side: the steadiest of them.
    plain_us, governed_us = (figure for figure in table if figure.unit == "µs")
    more = f"no limits + {governed_us.median - plain_us.median:,.0f} µs"
    table[table.index(governed_us)] = replace(governed_us, ratio=more)
    return [*table, *_waited(bare.name, calm)]


def _waited(name: str, calm: Sequence[Round]) -> list[Figure]:
    return [
        Figure(f"{name}: p50 at half load", "ms", tuple(done[name][0].p50_ms for done in calm)),
        Figure(f"{name}: p99 at half load", "ms", tuple(done[name][0].p99_ms for done in calm)),
    ]


def _added(name: str, bare: str, calm: Sequence[Round]) -> Figure:
    """Return what a caller waits more, round by round: what disturbs is of a moment."""
    more = tuple(done[name][0].p99_ms - done[bare][0].p99_ms for done in calm)
    return Figure(f"{name}: added to p99", "ms", more, Goal(most=MOST_ADDED_MS))


def _round(subjects: tuple[Subject, ...], size: Size, per_second: float) -> Round:
    return {subject.name: _measured(subject, size, per_second) for subject in subjects}


def _measured(subject: Subject, size: Size, per_second: float) -> tuple[Figures, float]:
    server = subject.server
    before = server.cpu_s
    asking = load(
        HOST,
        server.port,
        MESSAGES,
        subject.headers,
        request("Hello"),
        requests=size.requests,
        expected=b'"end_turn"',
        per_second=per_second,
    )
    figures = uvloop.run(asking)
    return figures, 1e6 * (server.cpu_s - before) / size.requests


@contextmanager
def governed() -> Iterator[Subject]:
    """Run a server that has every limit."""
    with scripted(PRICE, ANTIPHON_ADMIN_KEY=ADMIN_KEY) as server:
        yield Subject("all limits", server, limited(server, "scripted"))


def limited(server: Server, model: str) -> dict[str, str]:
    """Set every limit of three scopes, none of which is reached; return the caller's headers.

    The server's administrator has `ADMIN_KEY`.
    """
    workspace = _administer(server, "/workspaces", {"name": "bench"})["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    key = _administer(server, "/api_keys", {"name": "bench", "scope": scope})
    rates = {"limits": [{"type": kind, "value": MOST} for kind in KINDS]}
    for owner in ("", f"/workspaces/{workspace}", f"/api_keys/{key['id']}"):
        _administer(server, f"{owner}/rate_limits/rl_{model}", rates)
    scopes = ({"type": "organization"}, scope, {"type": "api_key", "api_key_id": key["id"]})
    for one in scopes:
        _administer(server, "/spend_limits", {"scope": one, "amount": CENTS})
    return {**HEADERS, "x-api-key": key["secret"]}


def _administer(server: Server, path: str, body: object) -> dict[str, str]:
    url = f"http://{HOST}:{server.port}/v1/organizations{path}"
    headers = {**HEADERS, "x-api-key": ADMIN_KEY}
    asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked) as response:  # noqa: S310 - our own server
        answer: dict[str, str] = json.load(response)
    return answer


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=7)
    options = parser.parse_args()
    finish(measure(QUICK if options.quick else Size(options.rounds)), options)


if __name__ == "__main__":
    main()
