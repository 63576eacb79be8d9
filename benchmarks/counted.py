"""Runs a command of Antiphon and counts its statements: `python -m benchmarks.counted FILE serve`.

At each SIGUSR1 the counts until then are written to the file. A transaction counts if one of its
statements writes; a statement with many rows, as the drivers take it, counts once.
"""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

TELL = signal.SIGUSR1
WRITES = ("INSERT", "UPDATE", "DELETE")


def count() -> Callable[[], dict[str, int]]:
    """Count the statements of all engines from now on; return what tells the counts."""
    counts = {"transactions": 0, "statements": 0}
    writing: set[int] = set()

    def note(connection: Connection, cursor: object, statement: str, *rest: Any) -> None:
        del cursor, rest
        counts["statements"] += 1
        if statement.lstrip().startswith(WRITES):
            writing.add(id(connection))

    def committed(connection: Connection) -> None:
        counts["transactions"] += id(connection) in writing
        writing.discard(id(connection))

    def rolled_back(connection: Connection) -> None:
        writing.discard(id(connection))

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "commit", committed)
    event.listen(Engine, "rollback", rolled_back)
    return lambda: dict(counts)


def main() -> None:
    """Count, and run the command."""
    file = Path(sys.argv.pop(1))
    counted = count()

    def tell(*_: object) -> None:
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(counted()), encoding="utf-8")
        draft.replace(file)

    signal.signal(TELL, tell)
    from antiphon.cli import main as run  # noqa: PLC0415 - only once it is counted

    sys.exit(run())


if __name__ == "__main__":
    main()
