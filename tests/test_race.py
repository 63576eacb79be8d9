import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.answers import AnswerError
from benchmarks.entrants import started_peer, text_of
from benchmarks.installs import INSTALLED, InstallError, Package, install, reason
from benchmarks.load import Connection, Figures, Run
from benchmarks.peers import PEERS, Peer, Place, Start
from benchmarks.race import DIRECT, KINDS, Race, Round, chosen, figures_of, rows
from benchmarks.servers import BYTECODE, Server, ServerError, started
from benchmarks.upstream import MESSAGES, TEXT, answers

ROOT = Path(__file__).parents[1]
JSON, STREAMS, ALONE = KINDS

GATEWAY = """
import http.server, json, sys, urllib.request
port, upstream, how = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if how == "ends":
    sys.exit("no such option: --cheap")

class Handler(http.server.BaseHTTPRequestHandler):
    kept = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if how == "refuses":
            self.send_error(503)
            return
        if how != "remembers" or body not in self.kept:
            with urllib.request.urlopen(upstream + self.path, body) as answer:
                self.kept[body] = answer.headers["content-type"], answer.read()
        kind, text = self.kept[body]
        if how == "breaks" and "event-stream" in kind:
            self.send_error(500)
            return
        if how == "changes":
            text = text.replace(b"upstream", b"gateway")
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("race") / "log"
    command = (sys.executable, "-m", "benchmarks.upstream")
    with started(command, log, {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", BYTECODE: ""}) as server:
        yield server


def gateway(cache: Path, how: str) -> Peer:
    """Make a peer that is installed already: a small gateway that does as it is told."""
    package = Package("PyPI", "gateway", "1.0")
    folder = cache / package.folder
    folder.mkdir()
    (folder / INSTALLED).write_text(repr(package))
    (folder / "gateway.py").write_text(GATEWAY)

    def start(place: Place) -> Start:
        words = (str(place.program / "gateway.py"), str(place.port), place.upstream, how)
        return Start((sys.executable, *words))

    return Peer("Gateway", package, "limits", start)


def test_peer_that_passes_messages_on_runs(upstream: Server, tmp_path: Path) -> None:
    with started_peer(gateway(tmp_path, "passes on"), upstream, tmp_path) as entrant:
        assert entrant.name == "Gateway 1.0"
        assert entrant.lacks == "limits"
        assert entrant.cpu_s > 0
        process = entrant.server.process
        assert process.poll() is None
    assert process.poll() is not None


def test_peer_without_streams_runs_and_says_so(upstream: Server, tmp_path: Path) -> None:
    with started_peer(gateway(tmp_path, "breaks"), upstream, tmp_path) as entrant:
        assert entrant.no_streams.startswith("HTTP Error 500: Internal Server Error; ")
    race = Race(memory_mb={"Antiphon": 100.0, "Gateway 1.0": 50.0})
    for name, kinds in (("Antiphon", KINDS), ("Gateway 1.0", (JSON, ALONE))):
        race.rounds |= {(name, kind.name): [measured(500)] for kind in kinds}
    assert [len(rows(race, kind)) for kind in KINDS] == [2, 1, 2]
    assert len(figures_of(race)) == 5 * 4


@pytest.mark.parametrize(
    ("how", "error", "why"),
    [
        ("changes", AnswerError, "says 'Hello from an gateway in a few words.'"),
        ("remembers", AnswerError, "answers without asking the upstream"),
        ("ends", ServerError, "ended: no such option: --cheap"),
    ],
)
def test_peer_that_does_not_pass_messages_on_is_refused(
    how: str, error: type[Exception], why: str, upstream: Server, tmp_path: Path
) -> None:
    peer = gateway(tmp_path, how)
    with pytest.raises(error) as raised, started_peer(peer, upstream, tmp_path):
        pass
    assert str(raised.value) == why


def test_peer_that_refuses_messages_is_given_up(
    upstream: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.entrants.START_S", 1.0)
    peer = gateway(tmp_path, "refuses")
    with (
        pytest.raises(ServerError, match="no message in 1 s: 503: "),
        started_peer(peer, upstream, tmp_path),
    ):
        pass


def npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program named npm, and no other, where programs are looked for."""
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))


def test_package_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, 'echo "$@" >> "$3/said"', monkeypatch)
    package = Package("npm", "@some/gateway", "2.1.0", held=(("other", "1.0"),))
    for _ in range(2):
        folder = install(package, tmp_path / "cache")
    assert folder.name == "some-gateway-2.1.0"
    quiet = "--ignore-scripts --no-audit --no-fund"
    assert (folder / "said").read_text() == (
        f"install --prefix {folder} {quiet} @some/gateway@2.1.0\n"
    )
    assert json.loads((folder / "package.json").read_bytes())["overrides"] == {"other": "1.0"}
    install(replace(package, held=(("other", "2.0"),)), tmp_path / "cache")
    assert json.loads((folder / "package.json").read_bytes())["overrides"] == {"other": "2.0"}


def test_package_that_cannot_be_had_tells_why_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("npm", "@some/gateway", "2.1.0")
    npm(tmp_path, "echo npm error 404 No match; exit 1", monkeypatch)
    for _ in range(2):
        with pytest.raises(InstallError, match=r"^npm error 404 No match$"):
            install(package, tmp_path / "cache")
    (tmp_path / "npm").unlink()
    with pytest.raises(InstallError, match=r"^npm is not there$"):
        install(package, tmp_path / "cache")


def test_package_of_pypi_is_never_built(tmp_path: Path) -> None:
    *_, last = Package("PyPI", "some", "1.0", "[proxy]").commands(tmp_path)
    assert last[-3:] == ("--only-binary", ":all:", "some[proxy]==1.0")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("first\n  second \n\n", "second"),
        ("npm error code E404\nnpm error 404\nnpm error A log is in x", "npm error code E404"),
        (
            "TypeError: failed\n [cause]: Error: not found x\n}\nNode 20",
            "[cause]: Error: not found x",
        ),
        ("a" * 1000, "a" * 160),
        (" \n", "it says nothing"),
    ],
)
def test_reason_of_a_failure_is_one_short_line(said: str, found: str) -> None:
    assert reason(said) == found


def body(stream: bool) -> bytes:
    raw = answers()[MESSAGES, stream].partition(b"\r\n\r\n")[2]
    return raw.replace(b"\r\n", b"\n") if stream else raw


def test_text_of_an_answer_is_what_the_upstream_said() -> None:
    assert text_of(body(stream=False), stream=False) == TEXT
    assert text_of(body(stream=True), stream=True) == TEXT


@pytest.mark.parametrize(
    ("raw", "stream"),
    [
        (b"", False),
        (b'{"error": "none"}', False),
        (body(stream=True).partition(b"event: message_stop")[0], True),
        (b'data: {"type": 1}', True),
        (b"", True),
    ],
)
def test_answer_that_is_not_whole_is_refused(raw: bytes, stream: bool) -> None:
    with pytest.raises(AnswerError):
        text_of(raw, stream=stream)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "stream", "whole"),
    [
        (HEAD + b"content-length: 2\r\n\r\n", False, False),
        (HEAD + b"content-length: 2\r\n\r\n{", False, False),
        (HEAD + b"content-length: 2\r\n\r\n{}", False, True),
        (HEAD + b"Content-Length: 10\r\n\r\n", False, False),
        (CHUNKED + b"2\r\n{}\r\n", False, False),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", False, True),
        (CHUNKED + b"2\r\n\n\n\r\n", True, False),
        (CHUNKED + b"2\r\n\n\n\r\n0\r\n\r\n", True, True),
        (HEAD + b"max-age: 60\r\n\r\n", True, False),
        # An error in place of a stream: it fails, and nobody waits for its end.
        (b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}", True, True),
    ],
)
def test_client_of_the_load_knows_where_an_answer_ends(
    received: bytes, stream: bool, whole: bool
) -> None:
    run = Run(b"", 1, stream, b"", done=None)  # type: ignore[arg-type]
    connection = Connection(run)
    connection._buffer = received
    assert connection._whole() is whole


def measured(per_second: float, cpu_us: float = 100.0) -> Round:
    return Round(Figures(100, 100 / per_second, 2.0, 5.0, 1.0), cpu_us)


def test_quickest_is_first_and_ratios_are_of_the_same_rounds() -> None:
    race = Race(memory_mb={"Antiphon": 100.0, "Other 1.0": 50.0, "Slow 2.0": 500.0})
    for kind in KINDS:
        # Twice as quick in each round; the medians alone would say 1.5.
        race.rounds["Antiphon", kind.name] = [measured(500), measured(1000), measured(2000)]
        race.rounds["Other 1.0", kind.name] = [measured(1000), measured(2000), measured(4000)]
        race.rounds["Slow 2.0", kind.name] = [measured(50), measured(10), measured(20)]
    assert [row[:3] for row in rows(race, JSON)] == [
        ("Other 1.0", "2,000", "2"),
        ("Antiphon", "1,000", "1"),
        ("Slow 2.0", "20", "0.01"),
    ]
    assert rows(race, STREAMS)[0][3:] == ("2 ms", "5 ms", "100 µs")
    assert len(figures_of(race)) == 3 * 3 * 4


def test_who_falls_out_is_not_in_the_tables() -> None:
    race = Race(memory_mb={"Antiphon": 100.0}, out={"Other 1.0": "3 of 64 requests failed"})
    for name in ("Antiphon", "Other 1.0"):
        race.rounds[name, JSON.name] = [measured(500)]
    assert [row[0] for row in rows(race, JSON)] == ["Antiphon"]


def test_peers_are_chosen_by_name() -> None:
    assert chosen(["none"]) == []
    assert chosen(["all", "smg"]) == list(PEERS.values())
    assert chosen(["smg", "rolter", "smg"]) == [PEERS["smg"], PEERS["rolter"]]


def quick_race(folder: Path, *peers: str) -> tuple[dict[str, object], str]:
    kept = folder / "figures.json"
    command = (sys.executable, "-m", "benchmarks.race", "--quick", "--json", str(kept), "--peers")
    ran = subprocess.run(
        (*command, *peers),
        cwd=ROOT,
        env={**os.environ, BYTECODE: ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(kept.read_bytes()), ran.stdout


@pytest.mark.soak
def test_antiphon_runs_beside_the_upstream_itself(tmp_path: Path) -> None:
    kept, table = quick_race(tmp_path, "none")
    figures = {one["what"]: one["values"] for one in kept["figures"]}  # type: ignore[attr-defined]
    for name in ("Antiphon", DIRECT):
        for kind in KINDS:
            assert figures[f"{name}: {kind.name}"][0] > 0
        assert f"\n{name} " in table
    assert kept["not_measured"] == {}


@pytest.mark.soak
def test_peers_are_installed_and_pass_every_message_on(tmp_path: Path) -> None:
    names = [name for name in PEERS if name != "bifrost"]  # its program is in no registry
    kept, table = quick_race(tmp_path, *names)
    assert kept["not_measured"] == {}
    for name in names:
        assert f"\n{PEERS[name].name} {PEERS[name].package.version} " in table
