"""Tests that are shared between workers: each is told once, as pytest alone tells it."""

import os
import re
import signal
import subprocess
import sys
from collections import deque
from itertools import chain, count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.workers import share, take_from

CONFTEST = """
from support.workers import Workers

def pytest_configure(config):
    config.addinivalue_line("markers", "alone: as in tests/conftest.py")
    config.pluginmanager.register(Workers(3))
"""
ALL_ENDS = """
import os, signal, sys, time, warnings
import pytest

def note(name):
    with open("ran", "a") as ran:
        ran.write(f"{name} {os.getpid()}\\n")

@pytest.fixture(scope="session", autouse=True)
def session():
    yield
    note("session")

@pytest.fixture
def broken():
    yield
    raise ValueError("after the test")

@pytest.mark.alone
def test_alone(tmp_path):
    note("alone")

def test_passes(tmp_path):
    assert tmp_path.parent.parent.name.startswith("pytest-of-")

def test_fails():
    print("out")
    print("err", file=sys.stderr)
    assert [1, 2] == [1, 3]

def test_ends_its_process():
    os._exit(3)

def test_is_killed():
    os.kill(os.getpid(), signal.SIGKILL)

def test_prints(capfd):
    os.system("echo said")
    assert capfd.readouterr().out == "said\\n"

@pytest.mark.skip(reason="for once")
def test_is_skipped():
    raise AssertionError

@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
def test_has_to_fail():
    1 / 0

def test_warns():
    warnings.warn("beware")

def test_ends_badly(broken):
    pass

@pytest.mark.parametrize("number", range(20))
def test_many(number):
    note(f"many{number}")
    time.sleep(0.01)
"""


# A shell that runs programs in the background has them ignore interrupts.
PYTEST = """import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def pytest_of(folder: Path, tests: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start pytest over these tests."""
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-c", PYTEST, "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    """What a run with every kind of end has said."""
    pytest_alone = pytest_of(folder, ALL_ENDS, "-rA", "--durations=1", "--junitxml=junit.xml")
    said, _ = pytest_alone.communicate()
    assert pytest_alone.returncode == 1
    return said


def test_every_test_is_told_once(said: str) -> None:
    assert "3 failed, 25 passed, 1 skipped, 1 xfailed, 1 warning, 1 error in " in said
    assert re.search(r"^[.sxFE]{31} +\[100%\]$", said, re.MULTILINE)
    assert "FAILED test_it.py::test_fails - assert [1, 2] == [1, 3]" in said
    assert "FAILED test_it.py::test_ends_its_process - its process ended with 3" in said
    assert "FAILED test_it.py::test_is_killed - its process ended with -9" in said
    assert "ERROR test_it.py::test_ends_badly - ValueError: after the test" in said
    assert re.search(r"SKIPPED \[1\] test_it.py:\d+: for once", said)
    assert "UserWarning: beware" in said
    assert re.search(r"Captured stdout call -+\nout\n-+ Captured stderr call -+\nerr\n", said)
    assert "slowest 1 durations" in said


@pytest.mark.usefixtures("said")
def test_report_of_a_run_has_every_test(folder: Path) -> None:
    junit = (folder / "junit.xml").read_text(encoding="utf-8")
    assert 'errors="1" failures="3" skipped="2"' in junit
    assert len({*re.findall(r'<testcase [^>]*name="(\S+)"', junit)}) == 30


@pytest.mark.usefixtures("said")
def test_tests_run_once_in_workers_and_those_marked_alone_in_one_after_them(folder: Path) -> None:
    ran = [line.split() for line in (folder / "ran").read_text(encoding="utf-8").splitlines()]
    names = [name for name, _ in ran]
    many = [f"many{number}" for number in range(20)]
    assert sorted(name for name in names if name != "session") == sorted(["alone", *many])
    assert len({pid for name, pid in ran if name in many}) >= 2
    # Each worker that was not killed ends what it has begun; the last one is alone.
    assert names[-2:] == ["alone", "session"]
    assert ran[-1][1] not in {pid for _, pid in ran[:-2]}
    assert names.count("session") >= 3


def test_first_failure_ends_the_run(tmp_path: Path) -> None:
    tests = "import pytest\n@pytest.mark.parametrize('number', range(99))\n"
    tests += "def test_it(number): assert number != 3\n"
    running = pytest_of(tmp_path, tests, "-x")
    said, _ = running.communicate()
    assert running.returncode == 1
    assert "stopping after 1 failures" in said
    (passed,) = map(int, re.findall(r"1 failed, (\d+) passed", said))
    assert passed < 98


def test_interrupt_ends_the_run_and_its_workers(tmp_path: Path) -> None:
    tests = "import os, time\ndef test_it():\n    open('pid', 'w').write(str(os.getpid()))\n"
    tests += "    os.rename('pid', 'told')\n    time.sleep(60)\n"
    running = pytest_of(tmp_path, tests)
    told = tmp_path / "told"
    while not told.exists():
        assert running.poll() is None
    worker = int(told.read_text(encoding="utf-8"))
    for pid in (worker, running.pid):  # as the terminal does
        os.kill(pid, signal.SIGINT)
    assert "KeyboardInterrupt" in running.communicate()[0]
    assert running.returncode == pytest.ExitCode.INTERRUPTED
    assert not Path(f"/proc/{worker}").exists()


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 8))
def test_parts_are_all_tests_in_their_order(tests: list[int], workers: int) -> None:
    parts = [worker.tests for worker in share(tests, workers)]
    assert [*chain(*parts)] == tests
    assert len(parts) == min(workers, len(tests))
    assert max(map(len, parts), default=0) - min(map(len, parts), default=0) <= 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_taken_tests_are_the_end_and_begin_with_a_file(sizes: list[int]) -> None:
    places = count()
    files = {next(places): file for file, size in enumerate(sizes) for _ in range(size)}
    queue = deque(files)
    taken = take_from(queue, lambda one, other: files[one] == files[other])
    assert [*queue, *taken] == [*files]
    assert len(queue) >= max(1, len(files) // 2)
    if len(files) > 1:
        assert taken
    begins = {at for at in files if at and files[at] != files[at - 1]}
    assert len(queue) in begins or not any(at >= len(queue) for at in begins)
