"""Every metric of a real server moves when it should, and every panel of the dashboard shows it.

One server with llama.cpp is made to do each thing once, while a real Prometheus reads it. What a
server does only in a fault that cannot be made here has its test elsewhere: `ELSEWHERE`.
"""

import contextlib
import json
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
import pytest

from antiphon.engines.llama.process import CHILD
from antiphon.service.metrics.catalogue import FAMILIES
from antiphon.store.data_folder import database_path
from support.cached_requests import FIVE_MINUTES, text
from support.metrics import Metrics
from support.organization import ADMIN
from support.overseen import descendants
from support.processes import KEY, Program, serving
from support.prometheus import NoPrometheusError, RunningPrometheus, prometheus, running_prometheus
from support.servers import environ
from test_watching import DASHBOARD, DEPLOY, ROOT, without_variables

pytestmark = [pytest.mark.soak, pytest.mark.alone]

PATIENCE_S: Final = 60.0
SETTINGS = """
cache_minimum_tokens = 16
[metrics]
listen = "127.0.0.1:0"
[limits]
concurrent_requests = 2
[[models]]
id = "tiny"
source = {model}
cache_minimum_tokens = 16
options = {{ context = 2048, slots = 1, threads = 1, batch_child = false, snapshot_bytes = 400000 }}
[[models]]
id = "scripted"
engine = "scripted"
price = {{ input = 3, output = 15 }}
[models.options]
text = "One two three four five."
replies = [
  {{ when = "think", text = "Yes.", thinking = "So it is." }},
  {{ when = "be slow", text = "Slowly.", delay_s = 600 }},
  {{ when = "wait a second", text = "There.", delay_s = 1 }},
  {{ when = "break", text = "One two", error = "failed", after = 1 }},
  {{ when = "overload", error = "overloaded" }},
]
[[models]]
id = "limited"
engine = "scripted"
"""
ELSEWHERE: Final = {
    "antiphon_cache_slot_mismatches_total": (
        "llama.cpp reuses less than its slot held",
        "tests/engines/llama/test_prompt_cache_faults.py",
        "test_slot_that_holds_less_than_is_known_is_counted_and_read_again",
    ),
    "antiphon_ledger_damaged_files": (
        "a journal of a killed process cannot be read",
        "tests/service/test_ledger.py",
        "test_slot_that_is_damaged_while_the_database_is_away_stops_no_other",
    ),
    "antiphon_counters_up": (
        "the counters refuse, as their server is away",
        "tests/server/test_metrics.py",
        "test_server_that_stops_or_lost_its_counters_is_not_ready",
    ),
    "antiphon_counters_pending_settlements": (
        "a bill comes while the Valkey server is away",
        "tests/store/counters/test_fallback.py",
        "test_settlement_is_delivered_when_the_server_is_back",
    ),
    "antiphon_request_log_dropped_total": (
        "more requests end than the database takes",
        "tests/service/test_request_log.py",
        "test_what_does_not_fit_is_dropped_counted_and_logged",
    ),
    "antiphon_database_up": (
        "the file of the database is gone",
        "tests/server/test_metrics.py",
        "test_database_that_is_away_is_told_and_the_rest_still_is",
    ),
}
"""What does not move here: what moves it, and the file and the name of the test of that."""


class Server:
    """The server, what was read of its metrics, and calls of it."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.folder = folder
        (self.metrics_url,) = re.findall(r"http://\S+/metrics", program.output)
        self.read: list[Metrics] = []

    def metrics(self) -> Metrics:
        self.read.append(Metrics(httpx2.get(self.metrics_url, timeout=20).text))
        return self.read[-1]

    def until(self, so: Callable[[Metrics], object]) -> Metrics:
        deadline = time.monotonic() + PATIENCE_S
        while not so(found := self.metrics()):
            assert time.monotonic() < deadline, "it did not move"
            time.sleep(0.1)
        return found

    def ask(self, said: Any = "Hi", **changes: Any) -> httpx2.Response:
        body = {
            "model": "scripted",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": said}],
            **changes,
        }
        return self.post("/v1/messages", body)

    def post(self, path: str, body: Any, key: str = KEY) -> httpx2.Response:
        headers = {"x-api-key": key, "anthropic-version": "2026-10-21"}
        url = f"{self.program.url}{path}"
        return httpx2.post(url, json=body, headers=headers, timeout=PATIENCE_S)

    def admin(self, path: str, body: Any) -> None:
        answer = self.post(f"/v1/organizations{path}", body, ADMIN)
        assert answer.status_code == 200, answer.text

    @contextlib.contextmanager
    def running(self, number: int, said: str, **changes: Any) -> Iterator[None]:
        """Have requests run in the block; their callers hang up at its end."""
        with ExitStack() as stack:
            for _ in range(number):
                caller = stack.enter_context(httpx2.Client(timeout=PATIENCE_S))
                asking = threading.Thread(target=self._ask_with, args=(caller, said, changes))
                asking.start()
                stack.callback(asking.join)
                stack.callback(caller.close)
            yield

    def _ask_with(self, caller: httpx2.Client, said: str, changes: dict[str, Any]) -> None:
        body = {
            "model": "scripted",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": said}],
            **changes,
        }
        headers = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
        with contextlib.suppress(httpx2.HTTPError, RuntimeError):
            caller.post(f"{self.program.url}/v1/messages", json=body, headers=headers)

    def moved(self) -> set[str]:
        """Return the families of which a series has had two values, or one that is not 0."""
        values: dict[tuple[str, Any], set[float]] = {}
        for read in self.read:
            for (name, labels), value in read.samples.items():
                values.setdefault((name, labels), {0.0}).add(value)
        names = {name for (name, _), seen in values.items() if len(seen) > 1}
        return {re.sub("_(bucket|sum|count)$", "", name) for name in names} | names


@pytest.fixture(scope="module")
def programs() -> Path:
    try:
        return prometheus(ROOT / ".cache")
    except NoPrometheusError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("metrics")
    settings = SETTINGS.format(model=json.dumps(str(tiny_model)))
    (folder / "antiphon.toml").write_text(settings, encoding="utf-8")
    with serving(folder, environ=environ()) as program:
        yield Server(program, folder)


@pytest.fixture(scope="module")
def reader(
    server: Server, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPrometheus]:
    target = server.metrics_url.removeprefix("http://").removesuffix("/metrics")
    folder = tmp_path_factory.mktemp("prometheus")
    with running_prometheus(programs, DEPLOY / "prometheus", target, folder) as reader:
        reader.until("up == 1")
        yield reader


def test_requests_answers_and_errors_move(server: Server) -> None:
    server.metrics()
    assert server.ask().status_code == 200
    assert server.ask(stream=True).status_code == 200
    thinking = {"type": "adaptive"}
    assert server.ask("think", thinking=thinking).json()["content"][0]["type"] == "thinking"
    assert server.ask(model="nobody").status_code == 404
    assert server.ask("overload").status_code == 529
    assert "api_error" in server.ask("break", stream=True).text
    found = server.metrics()
    route = {"route": "/v1/messages", "method": "POST"}
    assert found("antiphon_requests_total", **route, status="200") == 3
    for status, kind in (("404", "not_found"), ("529", "overloaded"), ("200", "api")):
        labels = {**route, "status": status, "error_type": f"{kind}_error"}
        assert found("antiphon_requests_total", **labels) == 1
    of = {"model": "scripted", "tier": "standard"}
    assert found("antiphon_thinking_tokens_total", **of) > 0
    assert found("antiphon_cost_dollars_total", **of) > 0
    assert found("antiphon_engine_errors_total", model="scripted", kind="overloaded") == 1


def test_refusals_queues_and_waits_for_money_move(server: Server) -> None:
    limits = [{"type": "requests_per_minute", "value": 1}]
    server.admin("/rate_limits/rl_limited", {"limits": limits})
    assert [server.ask(model="limited").status_code for _ in range(2)] == [200, 429]
    of = {"model": "scripted", "tier": "standard"}
    with server.running(3, "be slow"):
        server.until(lambda found: found("antiphon_requests_waiting", **of) == 1)
        assert server.read[-1]("antiphon_requests_running", **of) == 2
    found = server.until(lambda found: found("antiphon_requests_running", **of) == 0)
    assert found("antiphon_requests_refused_total", kind="rate_limit", scope="organization",
                 limit="requests_per_minute") == 1  # fmt: skip
    # One of two requests has to wait until the other has not spent what it held.
    spent = sum(found.of("antiphon_cost_dollars_total").values())
    cents = f"{100 * spent + 0.2:.6f}"
    body = {"scope": {"type": "organization"}, "amount": cents, "period": "monthly"}
    server.admin("/spend_limits", body)
    with server.running(1, "wait a second"):
        server.until(lambda found: found("antiphon_requests_running", **of) == 1)
        assert server.ask("wait a second").status_code == 200
    waited = "antiphon_money_wait_seconds_count"
    assert server.metrics()(waited, model="scripted") >= 1
    server.admin("/spend_limits", {**body, "amount": "100000"})


def test_batches_and_what_waits_for_the_database_move(server: Server) -> None:
    params = {
        "model": "scripted",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "be slow"}],
    }
    made = server.post(
        "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}
    ).json()
    found = server.until(lambda found: found("antiphon_batches", state="in_progress") == 1)
    assert found("antiphon_batch_requests_left", state="in_progress") == 1
    server.post(f"/v1/messages/batches/{made['id']}/cancel", {})
    server.until(lambda found: found("antiphon_batch_requests_left", state="in_progress") == 0)
    other = sqlite3.connect(database_path(server.folder), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert server.ask().status_code == 200
        behind = server.until(
            lambda found: (
                found("antiphon_ledger_lag_seconds", receiver="database") > 0
                and found("antiphon_request_log_pending_records")
            )
        )
        assert behind("antiphon_ledger_pending_entries", receiver="database") >= 1
    finally:
        other.close()
    server.until(lambda found: not found("antiphon_ledger_pending_entries", receiver="database"))


def prefix(number: int) -> list[dict[str, Any]]:
    return [text(300, word=f"w{number}", mark=FIVE_MINUTES)]


def test_llama_and_the_prompt_cache_move(server: Server) -> None:
    tiny = {"model": "tiny", "max_tokens": 8}
    for _ in range(2):
        assert server.ask(system=prefix(0), **tiny).status_code == 200
    of = {"model": "tiny", "tier": "standard"}
    found = server.until(lambda found: found("antiphon_cache_snapshots", model="tiny") > 0)
    assert found("antiphon_tokens_total", **of, type="cache_read") > 0
    assert found("antiphon_tokens_total", **of, type="cache_write_5m") > 0
    assert found("antiphon_cache_snapshot_bytes", model="tiny") > 0
    for number in range(1, 6):
        assert server.ask(system=prefix(number), **tiny).status_code == 200
    server.until(lambda found: found("antiphon_cache_evictions_total", model="tiny") > 0)
    with server.running(2, "Go on.", model="tiny", max_tokens=1500):
        engine = {"model": "tiny", "number": "1", "engine": "llama"}
        server.until(lambda found: found("antiphon_engine_waiting_prompts", **engine) == 1)
        assert server.read[-1]("antiphon_engine_busy_slots", **engine) == 1
    # What the index promises is gone with the slots and the files.
    (child,) = (one for one in descendants(server.program) if CHILD in one.cmdline())
    assert isinstance(child, psutil.Process)
    for folder in (server.folder / "engines/snapshots").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    child.kill()
    server.until(lambda found: found("antiphon_engine_ready", **engine) == 0)
    found = server.until(lambda found: found("antiphon_engine_ready", **engine) == 1)
    assert found("antiphon_engine_restarts_total", **engine) == 1
    assert server.ask(system=prefix(5), **tiny).status_code == 200
    mismatches = "antiphon_cache_claim_mismatches_total"
    assert sum(server.metrics().of(mismatches).values()) >= 1


def test_every_family_has_moved_or_has_its_test_elsewhere(server: Server) -> None:
    names = {family.name for family in FAMILIES}
    moved = server.moved() & names
    assert moved | ELSEWHERE.keys() == names
    for _, path, name in ELSEWHERE.values():
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_each_panel_of_the_dashboard_has_series(server: Server, reader: RunningPrometheus) -> None:
    """Grafana asks for a minute; what has happened before is in the sums."""
    reader.until('antiphon_answers_total{outcome="completed"} > 0')
    for _ in range(4):
        server.ask()
        server.ask(model="tiny", max_tokens=4, system=prefix(7))
        time.sleep(1)
    empty = {
        (panel["title"], target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
        if not reader.query(without_variables(target["expr"]))
    }
    assert empty == set()
