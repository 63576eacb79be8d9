"""Prometheus and promtool from Debian's package, unpacked and not installed."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

PATIENCE_S = 60.0
_FILES = ("prometheus.yml", "antiphon.rules.yml")
# What Debian's own file asks for, beside what every machine has.
_PACKAGE = "prometheus"


class NoPrometheusError(Exception):
    """There is none, and none can be had: no Debian, or no mirror of it."""


def prometheus(cache: Path) -> Path:
    """Return the folder of both programs, downloaded once. Raises `NoPrometheusError`."""
    folder = cache / "prometheus"
    if not (folder / "usr/bin/promtool").is_file():
        apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
        if apt is None or dpkg is None:
            raise NoPrometheusError("this is no Debian")
        folder.mkdir(parents=True, exist_ok=True)
        got = subprocess.run(
            [apt, "download", _PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        packages = sorted(folder.glob("prometheus_*.deb"))
        if got.returncode or not packages:
            raise NoPrometheusError(got.stderr.strip())
        subprocess.run([dpkg, "-x", packages[-1], folder], check=True, capture_output=True)
    return folder / "usr/bin"


def promtool(programs: Path, *words: str | Path, stdin: bytes | None = None) -> str:
    """Run promtool, and return what it says. Raises `AssertionError` with that if it fails."""
    command = [programs / "promtool", *words]
    ran = subprocess.run(command, input=stdin, capture_output=True, check=False)
    said = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, said
    return said


class RunningPrometheus:
    """A Prometheus that reads one target."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the series of an expression now. Raises `HTTPError` for one that is wrong."""
        found: list[Any] = self.ask(f"query?query={quote(expression)}")["result"]
        return found

    def until(self, expression: str) -> list[Any]:
        """Return the series of an expression once there are any."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if found := self.query(expression):
                    return found
            except urllib.error.URLError:
                pass  # it starts
            time.sleep(0.2)
        raise AssertionError(f"there is no {expression}")


@contextmanager
def running_prometheus(
    programs: Path, config: Path, target: str, folder: Path
) -> Iterator[RunningPrometheus]:
    """Run a Prometheus with a configuration of `deploy/`, whose target is another one."""
    for name in _FILES:
        text = (config / name).read_text(encoding="utf-8")
        text = text.replace("127.0.0.1:9464", target)
        text = re.sub(r"(scrape|evaluation)_interval: 15s", r"\1_interval: 1s", text)
        (folder / name).write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            programs / "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield RunningPrometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
