"""What takes part in the race: Antiphon with everything on, gateways of others, and no gateway.

All stand in front of one constant upstream. An answer counts only if the upstream was asked for it.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPResponse
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.answers import AnswerError
from benchmarks.installs import CACHE, install, outside, reason
from benchmarks.limits import ADMIN_KEY, PRICE, limited
from benchmarks.peers import MODEL, Peer, Place
from benchmarks.servers import (
    HEADERS,
    HOST,
    MESSAGES,
    STOP_S,
    Server,
    ServerError,
    antiphon,
    cpu_s_of,
    pinned,
    request,
    tree,
)
from benchmarks.upstream import ASKED, TEXT

START_S = 90.0
ANSWER_S = 10.0
PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Entrant:
    """A server that is ready, and how it is asked for a message.

    `no_streams` says why it is asked for none, if it answers none.
    """

    name: str
    server: Server
    lacks: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    path: str = MESSAGES
    no_streams: str = ""

    def body(self, *, stream: bool) -> bytes:
        """Return the body of a request."""
        return request("Hello", stream=stream).replace(b"claude-local", MODEL.encode())

    @property
    def cpu_s(self) -> float:
        """Processor time that the server and its children have used so far."""
        return cpu_s_of(tree(self.server.process.pid))


@contextmanager
def governed(upstream: Server, program: Sequence[str] = ("antiphon.cli",)) -> Iterator[Entrant]:
    """Run Antiphon on the first core: a price, every limit of three scopes, ledger, request log.

    `program` is that of `servers.antiphon`.
    """
    options = f'url = "http://{HOST}:{upstream.port}", model = "{MODEL}", context_tokens = 100000'
    settings = f'[[models]]\nid = "{MODEL}"\nengine = "messages_api"\n{PRICE}'
    with TemporaryDirectory(prefix="antiphon-bench-") as folder:
        config = Path(folder, "antiphon.toml")
        config.write_text(f"{settings}options = {{ {options} }}\n", encoding="utf-8")
        variables = {"ANTIPHON_CONFIG": str(config), "ANTIPHON_ADMIN_KEY": ADMIN_KEY}
        with antiphon(Path(folder), variables, place=0, program=program) as server:
            headers = limited(server, MODEL)
            yield Entrant("Antiphon", server, "(all of it is on)", headers)


@contextmanager
def started_peer(peer: Peer, upstream: Server, cache: Path = CACHE) -> Iterator[Entrant]:
    """Install and run a peer on the first core, until it passes messages on.

    Raises `InstallError`, `ServerError` if it does not start, and `AnswerError` if it answers
    something else. What it does with a stream is noted.
    """
    program = install(peer.package, cache)
    with TemporaryDirectory(prefix="antiphon-race-") as home:
        url = f"http://{HOST}:{upstream.port}"
        place = Place(program, Path(home), free_port(), free_port(), url)
        start = peer.start(place)
        log = Path(home, "log")
        variables = {**outside(), "HOME": home, "NO_PROXY": HOST, **start.variables}
        with log.open("w", encoding="utf-8") as said, pinned(0):
            began = time.perf_counter()
            process = subprocess.Popen(
                start.command,
                cwd=home,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # it is ended with all that it starts
            )
        try:
            server = Server(process, place.port, 0.0)
            name = f"{peer.name} {peer.package.version}"
            entrant = Entrant(name, server, peer.lacks, start.headers, start.path)
            _wait(entrant, log)
            server.ready_s = time.perf_counter() - began
            check(entrant, upstream, stream=False)
            try:
                check(entrant, upstream, stream=True)
            except (AnswerError, OSError) as error:
                entrant = replace(entrant, no_streams=f"{error}; {reason(_text_of(log))}")
            yield entrant
        finally:
            _stop(process)


def _wait(entrant: Entrant, log: Path) -> None:
    """Wait until a message is answered. Raises `ServerError`."""
    deadline = time.perf_counter() + START_S
    refused: object = "it does not listen"
    while time.perf_counter() < deadline:
        if entrant.server.process.poll() is not None:
            raise ServerError(f"ended: {reason(_text_of(log))}")
        try:
            ask(entrant, stream=False)
        except urllib.error.HTTPError as error:
            refused = f"{error.code}: {reason(error.read().decode(errors='replace'))}"
        except OSError:
            pass  # it is not there yet
        else:
            return
        time.sleep(PAUSE_S)
    raise ServerError(f"no message in {START_S:.0f} s: {refused}; {reason(_text_of(log))}")


def _text_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _stop(process: subprocess.Popen[str]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)


def free_port() -> int:
    """Return a port that nothing listens at now."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


def check(entrant: Entrant, upstream: Server, *, stream: bool) -> None:
    """Ask for one message. Raises `AnswerError` if it is not the upstream's, or `OSError`."""
    before = asked(upstream)
    text = text_of(ask(entrant, stream=stream), stream=stream)
    if text != TEXT:
        raise AnswerError(f"says {text[:60]!r}")
    if asked(upstream) == before:
        raise AnswerError("answers without asking the upstream")


def ask(entrant: Entrant, *, stream: bool) -> bytes:
    """Ask for one message. Raises `OSError`, of which `HTTPError` is one."""
    url = f"http://{HOST}:{entrant.server.port}{entrant.path}"
    one = urllib.request.Request(url, entrant.body(stream=stream), dict(entrant.headers))
    with _open(one) as response:
        return bytes(response.read())


def asked(upstream: Server) -> int:
    """Return how many messages the upstream was asked for."""
    with _open(urllib.request.Request(f"http://{HOST}:{upstream.port}{ASKED}")) as response:
        return msgspec.json.decode(response.read(), type=dict[str, int])["messages"]


def _open(one: urllib.request.Request) -> HTTPResponse:
    """Send a request, past any proxy of the environment."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    response: HTTPResponse = direct.open(one, timeout=ANSWER_S)
    return response


class _Delta(msgspec.Struct, frozen=True):
    text: str = ""


class _Block(msgspec.Struct, frozen=True):
    text: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str
    delta: _Delta = _Delta()


class _Message(msgspec.Struct, frozen=True):
    content: list[_Block]


def text_of(raw: bytes, *, stream: bool) -> str:
    """Return the text of an answer. Raises `AnswerError` if it is not a whole one."""
    try:
        if not stream:
            return "".join(one.text for one in msgspec.json.decode(raw, type=_Message).content)
        lines = [line.removeprefix(b"data:") for line in raw.splitlines() if line[:5] == b"data:"]
        events = [msgspec.json.decode(line, type=_Event) for line in lines]
    except msgspec.MsgspecError as error:
        raise AnswerError(f"an answer that is none: {error}") from error
    if not any(one.type == "message_stop" for one in events):
        raise AnswerError("a stream without its end")
    return "".join(one.delta.text for one in events if one.type == "content_block_delta")
