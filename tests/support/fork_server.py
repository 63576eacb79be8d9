"""Starts the program by forking a process that has imported it.

A start imports for a second of a core, which shows nothing in most tests. A forked process is a
process as any other: it has memory, locks, an environment and signals of its own. What a start
imports, and how, is shown by tests/test_imports.py and tests/test_package.py.

This file is also a program: `serve` is the process that forks, and `run` asks it for one process,
as a command in a shell does.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

# Imported where they are used, and used by most tests that start the program.
LATER = ("aiosqlite", "antiphon.engines.scripted", "anyio._backends._asyncio")
NUMBER = struct.Struct("i")


class ForkedProcess:
    """A process that a fork server has started, with what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        address: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        streams: tuple[int, int],
    ) -> None:
        """Run `antiphon` with these arguments; `streams` is where its output and its errors go."""
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        socket.send_fds(self._connection, [b"+"], streams)
        request = json.dumps([list(arguments), dict(environ), str(folder)])
        self._connection.sendall(request.encode() + b"\n")
        self.returncode: int | None = None
        self.pid = self._number()

    def _number(self) -> int:
        read = self._connection.recv(NUMBER.size, socket.MSG_WAITALL)
        assert read, "the fork server has ended"
        (number,) = NUMBER.unpack(read)
        return int(number)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["antiphon"], timeout or 0)
            self.returncode = self._number()
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            # It may have ended, and the fork server has not told of that yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks. It ends with this one, however that ends."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="antiphon-")
        self.address = str(Path(self._folder.name, "socket"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, "serve", str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )

    @property
    def command(self) -> list[str]:
        """What starts a process from a shell; the arguments of the program follow."""
        return [sys.executable, "-SP", __file__, "run", self.address]

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


@cache
def fork_server() -> ForkServer:
    """Return the fork server of this process of tests."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def serve(listener: socket.socket) -> None:
    """Fork for every connection, until the other end of the standard input is closed."""
    running: dict[int, socket.socket] = {}
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking)
    while True:
        ready, _, _ = select.select([0, listener, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            tell_ended(running)
        if listener in ready:
            caller, _ = listener.accept()
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                for descriptor in (woken, waking):
                    os.close(descriptor)
                for one in (listener, *running.values()):
                    one.close()
                become_program(caller)
            running[pid] = caller
            caller.sendall(NUMBER.pack(pid))
        if 0 in ready:
            return


def tell_ended(running: dict[int, socket.socket]) -> None:
    """Send the exit status of every process that has ended to whoever asked for it."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            with running.pop(pid) as caller, suppress(OSError):
                caller.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def become_program(caller: socket.socket) -> None:
    """Run the program that is asked for. Raises `SystemExit` at its end."""
    from antiphon import cli  # noqa: PLC0415 - `run` starts without it

    with caller, caller.makefile() as lines:
        _, (output, errors), _, _ = socket.recv_fds(caller, 1, 2)
        arguments, environ, folder = json.loads(lines.readline())
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for descriptor, standard in ((output, 1), (errors, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    # As Python makes them at its start, for what the descriptors are now.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # As `python -m antiphon.cli` has it.
    sys.argv = [str(Path(cli.__file__).with_name("__main__.py")), *arguments]
    sys.exit(cli.main())


def import_program() -> None:
    """Import all commands, and keep what they have made from the garbage collector."""
    from antiphon import cli  # noqa: PLC0415 - `run` starts without it

    for name in (*(f"antiphon.cli.{family}" for family in cli.FAMILIES), *LATER):
        import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", descriptor]:
            with socket.socket(fileno=int(descriptor)) as listening:
                import_program()
                serve(listening)
        case ["run", address, *words]:
            started = ForkedProcess(address, words, os.environ, Path.cwd(), (1, 2))
            # Whoever stops this process means the one that it stands for.
            signal.signal(signal.SIGTERM, lambda number, _: os.kill(started.pid, number))
            sys.exit(started.wait())
