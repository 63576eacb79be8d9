"""The file of a map, when its disk is full and when a person interrupts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.sdk.batches.map_file import MapFile

SERVER = "http://127.0.0.1:8000"
REQUESTS = [b'{"custom_id":"%d","params":{}}' % number for number in range(3)]


def broken_write(at: int, error: BaseException) -> Callable[[int, memoryview], int]:
    """Return an `os.write` of which one call, from 0 on, writes half and the next one fails."""
    calls = 0
    write = os.write

    def broken(descriptor: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if calls == at + 2:
            raise error
        return write(descriptor, data[: len(data) // 2] if calls == at + 1 else data)

    return broken


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [0, 2])
def test_what_was_held_at_an_error_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, at: int
) -> None:
    path = tmp_path / "map"
    file = MapFile(path, SERVER, "run")
    file.open()
    monkeypatch.setattr(os, "write", broken_write(at, error))
    failures = 0
    for request in REQUESTS:
        file.add_request(request)
        try:
            file.sync()
        except (OSError, KeyboardInterrupt):
            failures += 1
    # As when batches are cancelled behind an interrupt.
    file.set_interrupted(file.add_part([0, 1], 1.0))
    file.close()
    assert failures == 1

    again = MapFile(path, SERVER, "another run")
    again.open()
    assert [again.request(row) for row in range(again.count)] == REQUESTS
    assert again.parts[0].interrupted
    again.close()


def test_interrupt_between_the_steps_of_a_line_tears_none(tmp_path: Path) -> None:
    import sys  # noqa: PLC0415 - traces this test alone

    before = sys.gettrace()
    for step in range(1, 60):
        path = tmp_path / f"map{step}"
        file = MapFile(path, SERVER, "run")
        file.open()
        left = step

        def trace(frame: object, event: str, _: object) -> object:
            nonlocal left
            if "map_file" not in frame.f_code.co_filename:  # type: ignore[attr-defined] # a frame
                return None
            left -= event == "line"
            if left == 0 and event == "line":
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)  # type: ignore[arg-type] # as above
        try:
            file.add_request(REQUESTS[0])
            file.sync()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        file.close()
        again = MapFile(path, SERVER, "another run")
        again.open()
        assert again.count <= 1
        again.close()
