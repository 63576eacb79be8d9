"""A server that sends whatever bytes a test wants, and does whatever it wants with sockets."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 20.0
"""How long a peer waits for what does not come; a test that fails ends, too."""


class Peer:
    """One connection, from the server's side."""

    def __init__(self, link: socket.socket, number: int) -> None:
        self.number = number
        self.link = link
        self._rest = b""

    def request(self) -> bytes:
        """Return the next request, or `b""` if there is none."""
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return b""
        head = self._rest[:end].lower()
        _, named, rest = head.partition(b"content-length: ")
        whole = end + 4 + (int(rest.split(b"\r\n", 1)[0]) if named else 0)
        while len(self._rest) < whole:
            if not self._more():
                return b""
        request, self._rest = self._rest[:whole], self._rest[whole:]
        return request

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.link.sendall(piece)

    def reset(self) -> None:
        """End the connection without a word."""
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()

    def gone(self) -> bool:
        """Wait until the other side ends the connection; return whether it did."""
        try:
            while self.link.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def _more(self) -> bool:
        data = self.link.recv(65536)
        self._rest += data
        return bool(data)


Script = Callable[[Peer], None]


class RawServer:
    """Listens on loopback and runs `script` with each connection, in a thread of its own."""

    def __init__(self, script: Script, context: ssl.SSLContext | None) -> None:
        self.script = script
        self.connections = 0
        self.ended = threading.Event()
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._links: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(PATIENCE_S)
        self._socket.close()
        for link in self._links:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(link, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            link.settimeout(PATIENCE_S)
            self._links.append(link)
            thread = threading.Thread(target=self._serve, args=(link, self.connections))
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                link = self._context.wrap_socket(link, server_side=True)
                self._links.append(link)
            with contextlib.closing(link):
                self.script(Peer(link, number))
        link.close()
        self.ended.set()


@contextmanager
def raw_server(script: Script, context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Run a server with a script for each of its connections."""
    server = RawServer(script, context)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def nobody() -> Iterator[str]:
    """Hold a port at which nobody listens, and yield its URL."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def answering(*answers: bytes) -> Script:
    """Return a script that answers the requests of a connection, the last answer for all others."""

    def script(peer: Peer) -> None:
        left = list(answers)
        while peer.request():
            peer.send(left.pop(0) if len(left) > 1 else left[0])

    return script
