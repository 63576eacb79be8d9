"""One server on a data folder, where limits are in its memory and nobody else's."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from antiphon.settings import SettingsError

LOCK = "server.lock"


@contextmanager
def alone(data_dir: Path) -> Generator[None]:
    """Hold the data folder for this process. The lock ends with it, however it ends.

    Raises `SettingsError` if another server holds it: each would grant the whole of every limit.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SettingsError(
            f"another server uses {data_dir}; several can only share their limits in a Valkey "
            "server: set counters_url"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)
