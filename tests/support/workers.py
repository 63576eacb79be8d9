"""A plugin of pytest that shares the tests between workers: `--workers 6`.

The workers are forks of the process that has collected the tests, so these are imported and
collected once. Each worker asks for a test, runs it and tells what pytest would print; a test
that ends its worker has failed, and another worker goes on. Tests that are marked `alone` run last,
one after the other in one more worker.
"""

import atexit
import os
import random
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import pytest

Queue = deque[int]


class Worker:
    """A process that runs tests, and those that it is to run: their places among all tests."""

    def __init__(self, tests: Queue) -> None:
        self.tests = tests
        self.running: int | None = None
        self.pid = 0
        # That of a worker which does not run is closed.
        self.connection: Connection = Pipe()[0]
        self.connection.close()


class Workers:
    """The plugin of the process that has collected the tests."""

    def __init__(self, count: int) -> None:
        self._count = count

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        options = session.config.option
        if session.testsfailed or options.collectonly or not session.items:
            return None  # what pytest does by itself
        # A line for each file is of no use where the tests of several come in turn.
        plugins = session.config.pluginmanager
        plugins.getplugin("terminalreporter").showfspath = False
        # Workers have the folder of temporary files that this process removes at its end.
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        alone = [item.get_closest_marker("alone") is not None for item in session.items]
        together = [place for place, is_alone in enumerate(alone) if not is_alone]
        last = [place for place, is_alone in enumerate(alone) if is_alone]
        Run(session, share(together, self._count)).go()
        Run(session, share(last, 1)).go()
        return True


def share(tests: Sequence[int], count: int) -> list[Worker]:
    """Return workers with a part of the tests each."""
    bounds = [len(tests) * number // count for number in range(count + 1)]
    parts = [deque(tests[begin:end]) for begin, end in pairwise(bounds)]
    return [Worker(part) for part in parts if part]


def take_from(queue: Queue, together: Callable[[int, int], bool]) -> Queue:
    """Take the second half of the tests that somebody else is to run.

    Neighbours that are `together` share what takes long to make, so no two of them part if others
    can. The first test stays, as its neighbour has kept what both share.
    """
    half = (len(queue) + 1) // 2
    apart = (at for at in range(half, len(queue)) if not together(queue[at - 1], queue[at]))
    kept = next(apart, half)
    return deque(reversed([queue.pop() for _ in range(len(queue) - kept)]))


class Run:
    """A run of tests by workers."""

    def __init__(self, session: pytest.Session, workers: list[Worker]) -> None:
        self._session = session
        self._hook = session.config.hook
        self._workers = workers
        self._left: list[Worker] = []

    def go(self) -> None:
        """Run the tests. Raises as pytest does where a failure or somebody ends the run."""
        session = self._session
        for worker in self._workers:
            self._start(worker)
        try:
            while self._left:
                ready = wait([worker.connection for worker in self._left])
                for worker in [worker for worker in self._left if worker.connection in ready]:
                    self._hear(worker)
        finally:
            # After an interrupt each worker ends with its test.
            for worker in self._workers:
                worker.connection.close()
                os.waitpid(worker.pid, 0)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    def _start(self, worker: Worker) -> None:
        worker.connection, other = Pipe()
        with warnings.catch_warnings():
            # From 3.12 on Python warns of threads; those of numpy are made for a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            for one in self._workers:
                one.connection.close()
            work(self._session, other)
        other.close()
        worker.pid = pid
        self._left.append(worker)

    def _hear(self, worker: Worker) -> None:
        try:
            news, failure = worker.connection.recv()
        except EOFError:
            self._crashed(worker)
            return
        for name, facts in news:
            self._tell(name, facts)
        worker.running = None
        if failure is None:
            worker.connection.send(self._next(worker))
            return
        self._left.remove(worker)
        if failure:
            raise RuntimeError(f"a worker failed:\n{failure}")

    def _tell(self, name: str, facts: Any) -> None:
        config = self._session.config
        match name:
            case "report":
                report = self._hook.pytest_report_from_serializable(config=config, data=facts)
                self._hook.pytest_runtest_logreport(report=report)
            case "finished":
                self._hook.pytest_runtest_logfinish(**facts)
            case "warning":
                self._hook.pytest_warning_recorded.call_historic(kwargs=facts)

    def _next(self, worker: Worker) -> tuple[int, int | None] | None:
        """Return the next test of a worker and the one after it; the first is `None` at the end."""
        if self._session.shouldfail or self._session.shouldstop:
            return None
        if not worker.tests:
            longest = max((one.tests for one in self._workers), key=len)
            worker.tests = take_from(longest, self._together)
        if not worker.tests:
            return None
        worker.running = worker.tests.popleft()
        return worker.running, worker.tests[0] if worker.tests else None

    def _together(self, one: int, other: int) -> bool:
        items = self._session.items
        return items[one].path == items[other].path

    def _crashed(self, worker: Worker) -> None:
        """Report the test that ended its worker, and start another one."""
        self._left.remove(worker)
        worker.connection.close()
        _, status = os.waitpid(worker.pid, 0)
        told = f"its process ended with {os.waitstatus_to_exitcode(status)}"
        assert worker.running is not None, told
        item = self._session.items[worker.running]
        report = pytest.TestReport(item.nodeid, item.location, {}, "failed", told, "call")
        self._hook.pytest_runtest_logreport(report=report)
        self._hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self._start(worker)


class Told:
    """The plugin of a worker, which keeps what pytest would print, until it is sent.

    One message for each test wakes the process that hears it once.
    """

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config = config
        self._connection = connection
        self._news: list[tuple[str, Any]] = []
        config.pluginmanager.register(self)
        # What pytest remembers for plugins that come later was told by somebody else.
        self._news.clear()

    def send(self, failure: str | None = None) -> None:
        """Send what is kept, and ask for a test, or say at the end what has failed."""
        self._connection.send((self._news, failure))
        self._news.clear()

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._news.append(("finished", {"nodeid": nodeid, "location": location}))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._news.append(("report", data))

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        message = warnings.WarningMessage(
            # What a warning holds may be bound to this process.
            f"{warning_message.category.__name__}: {warning_message.message}",
            UserWarning,
            warning_message.filename,
            warning_message.lineno,
        )
        told = {"warning_message": message, "when": when, "nodeid": nodeid, "location": location}
        self._news.append(("warning", told))


def work(session: pytest.Session, connection: Connection) -> NoReturn:
    """Run tests in a new process until there are no more, and end it."""
    try:
        told = become_worker(session.config, connection)
        told.send(failure_of(session, connection, told))
    finally:
        # Nobody hears of it where the process of the tests has ended.
        os._exit(0)


def become_worker(config: pytest.Config, connection: Connection) -> Told:
    """Have this process print nothing, and share no file and no random numbers with others."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    config.pluginmanager.unregister(name="terminalreporter")
    random.seed()
    return Told(config, connection)


def failure_of(session: pytest.Session, connection: Connection, told: Told) -> str:
    """Run tests, and return what has failed beside them."""
    try:
        run_tests(session, connection, told)
        # Looks for what was left open, as pytest does at its end.
        session.config._ensure_unconfigure()
        # What tests leave to the end of their process, as servers that all of them share.
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends and tells of it
        return traceback.format_exc()
    return ""


def run_tests(session: pytest.Session, connection: Connection, told: Told) -> None:
    told.send()
    while given := connection.recv():
        test, following = given
        session.config.hook.pytest_runtest_protocol(
            item=session.items[test],
            nextitem=None if following is None else session.items[following],
        )
        told.send()
    session._setupstate.teardown_exact(None)
