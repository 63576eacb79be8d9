import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.sdk.batches.map_file import MapFile
from antiphon.sdk.batches.map_job import MapJob, MapOptions
from antiphon.sdk.batches.map_lines import (
    MapFileError,
    MapFileInUseError,
    RowChangedError,
)
from antiphon.sdk.batches.mapping import map_flow
from antiphon.sdk.batches.rows import RowCanceledError, RowExpiredError
from antiphon.sdk.batches.waiting import Waiting
from antiphon.sdk.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    BadRequestError,
    OverloadedError,
)
from antiphon.sdk.flow import Flow, Left
from support.batch_api import RESULT, BatchApi, Driven, failure

SERVER = "http://127.0.0.1:8000"
ROWS = list(range(10))
WAITING = Waiting(first_pause=1, longest_pause=10, patience=100)


def asked(row: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": str(row)}]}


def flow_of(
    api: BatchApi, file: Path | None = None, function: Any = asked, **options: Any
) -> Flow[None]:
    progress = options.pop("progress", None)
    return map_flow(
        MapJob(
            function=function,
            file=MapFile(file, SERVER, "run"),
            options=MapOptions(**{"waiting": WAITING, "part_requests": 3, **options}),
            call_options={},
            keeps_keys=api.keeps_keys,
            progress=progress,
            now=api.now,
            wall=api.wall,
        )
    )


def mapped(api: BatchApi, file: Path | None = None, rows: Any = ROWS, **options: Any) -> Driven:
    driven = Driven(api, flow_of(api, file, **options), list(rows))
    driven.run()
    return driven


def opened(file: Path, server: str = SERVER) -> MapFile:
    map_file = MapFile(file, server, "run")
    map_file.open()
    return map_file


def numbers(driven: Driven) -> list[int]:
    return [result.row for result in driven.emitted]


def error_row(kind: str) -> dict[str, Any]:
    return {"type": "errored", "error": {"error": {"type": kind, "message": "no"}}}


def test_rows_come_back_in_order_out_of_several_batches() -> None:
    api = BatchApi()
    driven = mapped(api)
    assert numbers(driven) == ROWS
    assert [len(batch.requests) for batch in api.batches.values()] == [3, 3, 3, 1]
    assert all(result.ok and result.message.id == "msg_1" for result in driven.emitted)
    assert [result.custom_id for result in driven.emitted][:2] == ["run-0", "run-1"]


def test_parts_are_cut_by_bytes_too() -> None:
    api = BatchApi()
    mapped(api, rows=["x" * 100] * 4, part_bytes=500, part_requests=100)
    assert [len(batch.requests) for batch in api.batches.values()] == [2, 2]


def test_a_row_larger_than_a_part_is_a_part_of_its_own() -> None:
    api = BatchApi()
    mapped(api, rows=["x", "y" * 900, "z"], part_bytes=500, part_requests=100)
    assert [len(batch.requests) for batch in api.batches.values()] == [1, 1, 1]


def test_rows_that_are_not_ordered_come_once() -> None:
    assert sorted(numbers(mapped(BatchApi(), ordered=False))) == ROWS


def test_no_rows_are_no_batch() -> None:
    api = BatchApi()
    assert mapped(api, rows=[]).emitted == []
    assert not api.batches


def test_a_finished_file_gives_its_results_without_a_call(tmp_path: Path) -> None:
    api = BatchApi()
    mapped(api, tmp_path / "map")
    api.calls.clear()
    again = mapped(api, tmp_path / "map")
    assert numbers(again) == ROWS
    assert api.calls == []


def test_a_file_goes_on_with_rows_that_were_added(tmp_path: Path) -> None:
    api = BatchApi()
    mapped(api, tmp_path / "map")
    assert numbers(mapped(api, tmp_path / "map", rows=range(12))) == list(range(12))
    assert api.charged == Counter(f"run-{row}" for row in range(12))


@settings(max_examples=60, deadline=None)
@given(
    kills=st.lists(st.integers(1, 60), max_size=6), lost=st.sets(st.integers(1, 6)), data=st.data()
)
def test_killed_anywhere_each_row_is_sent_once(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], lost: set[int], data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("map") / "map_file"
    api = BatchApi(lost=lost, cut_results_after=data.draw(st.none() | st.integers(0, 2)))
    for steps in kills:
        flow = flow_of(api, file)
        Driven(api, flow, ROWS).run(steps)
        flow.close()
        if file.exists() and data.draw(st.booleans()):
            # What a write that was cut off leaves.
            with file.open("ab") as torn:
                torn.write(b'{"type":"result","row":')
    assert numbers(mapped(api, file)) == ROWS
    assert api.charged == Counter(f"run-{row}" for row in ROWS)


@pytest.mark.parametrize("lost", [set(), {1}, {2, 3}])
def test_without_keys_a_lost_batch_is_found_by_its_first_id(tmp_path: Path, lost: set[int]) -> None:
    api = BatchApi(keeps_keys=False, lost=lost)
    assert numbers(mapped(api, tmp_path / "map")) == ROWS
    assert api.charged == Counter(f"run-{row}" for row in ROWS)


def test_a_lost_answer_is_not_forgotten_for_a_full_queue(tmp_path: Path) -> None:
    api = BatchApi(keeps_keys=False, lost={1})
    # The create, whose answer is lost, and then the list.
    api.faults = [None, failure(429)]
    assert numbers(mapped(api, tmp_path / "map", rows=range(3))) == [0, 1, 2]
    assert set(api.charged.values()) == {1}


def test_a_line_that_is_no_result_is_told() -> None:
    api = BatchApi()
    api.lines = lambda _: [b"<html>"]  # type: ignore[method-assign]
    with pytest.raises(APIResponseValidationError, match="<html>"):
        mapped(api)


def test_a_batch_of_another_with_as_many_requests_is_not_taken(tmp_path: Path) -> None:
    api = BatchApi(keeps_keys=False)
    mapped(
        api, tmp_path / "other", rows=range(3), function=lambda row: (f"other-{row}", asked(row))
    )
    api.lost = {api.creates + 1}
    assert numbers(mapped(api, tmp_path / "map", rows=range(3))) == [0, 1, 2]
    assert set(api.charged.values()) == {1}


def test_a_key_that_may_be_forgotten_is_not_relied_on(tmp_path: Path) -> None:
    api = BatchApi(lost={1, 2})
    flow = flow_of(api, tmp_path / "map")
    Driven(api, flow, ROWS).run(10)
    flow.close()
    assert api.creates
    api.time += 24 * 3600
    api.keys.clear()
    assert numbers(mapped(api, tmp_path / "map")) == ROWS
    assert set(api.charged.values()) == {1}


@pytest.mark.parametrize("content", [b'{"my": "data"}', b"\0\1 a picture", b'{"type":"mop",'])
def test_a_file_without_a_line_that_is_no_maps_stays_what_it_is(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "rows.map"
    file.write_bytes(content)
    with pytest.raises(MapFileError, match="this is no file of a map"):
        opened(file)
    assert file.read_bytes() == content


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "map"
    mapped(BatchApi(), file)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"type":"result","row":1,"result":' + b"x" * 5000)
    mapped(BatchApi(), file)
    assert file.read_bytes() == whole


def test_a_changed_row_is_told(tmp_path: Path) -> None:
    api = BatchApi()
    mapped(api, tmp_path / "map")
    with pytest.raises(RowChangedError, match="row 4") as error:
        mapped(api, tmp_path / "map", rows=[0, 1, 2, 3, "other", 5])
    assert error.value.row == 4


def test_rows_that_are_missing_are_told(tmp_path: Path) -> None:
    api = BatchApi()
    mapped(api, tmp_path / "map")
    with pytest.raises(RowChangedError, match="end after 5"):
        mapped(api, tmp_path / "map", rows=range(5))


def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    held = opened(tmp_path / "map")
    with pytest.raises(MapFileInUseError):
        opened(tmp_path / "map")
    held.close()
    opened(tmp_path / "map").close()


def test_a_file_of_another_server_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "map").close()
    with pytest.raises(MapFileError, match="https://api"):
        opened(tmp_path / "map", "https://api.anthropic.com")


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "map"
    file.write_text("a poem\nof two lines\n")
    with pytest.raises(MapFileError, match="line 1"):
        opened(file)
    assert file.read_text() == "a poem\nof two lines\n"


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    mapped(BatchApi(), tmp_path / "map")
    assert (tmp_path / "map").stat().st_mode & 0o077 == 0


def test_rows_that_may_pass_are_tried_again() -> None:
    def answer(custom_id: str, number: int) -> dict[str, Any]:
        kinds = {"run-1": "overloaded_error", "run-2": "invalid_request_error"}
        return error_row(kinds[custom_id]) if custom_id in kinds and number < 4 else RESULT

    api = BatchApi(answer=answer)
    driven = mapped(api, retries=1)
    assert numbers(driven) == ROWS
    assert [result.tries for result in driven.emitted] == [1, 2, *[1] * 8]
    assert isinstance(driven.emitted[2].error, BadRequestError)
    assert driven.emitted[1].ok


def test_a_later_run_tries_again_what_had_failed(tmp_path: Path) -> None:
    api = BatchApi(answer=lambda _id, number: {"type": "expired"} if number == 0 else RESULT)
    driven = mapped(api, tmp_path / "map")
    assert [result.ok for result in driven.emitted] == [False] * 3 + [True] * 7
    assert isinstance(driven.emitted[0].error, RowExpiredError)
    with pytest.raises(RowExpiredError):
        _ = driven.emitted[0].message
    assert all(result.ok for result in mapped(api, tmp_path / "map", retries=1).emitted)
    # And a run between the second batch and its results does not give them up.
    assert all(result.ok for result in mapped(api, tmp_path / "map").emitted)


@pytest.mark.parametrize("steps", range(8, 60, 3))
def test_a_row_on_its_second_try_is_not_given_up_by_a_kill(tmp_path: Path, steps: int) -> None:
    api = BatchApi(answer=lambda _id, number: {"type": "expired"} if number < 4 else RESULT)
    flow = flow_of(api, tmp_path / "map", retries=1)
    Driven(api, flow, ROWS).run(steps)
    flow.close()
    driven = mapped(api, tmp_path / "map", retries=1)
    assert numbers(driven) == ROWS
    assert all(result.ok for result in driven.emitted)


def test_errors_that_pass_are_waited_out() -> None:
    faults: list[APIError | None] = [failure(529), failure(500), None, failure(503), failure(429)]
    driven = mapped(BatchApi(faults=faults))
    assert numbers(driven) == ROWS
    assert driven.pauses[:2] == [1, 2]


def test_a_server_that_stays_away_is_given_up() -> None:
    with pytest.raises(OverloadedError):
        mapped(BatchApi(faults=[failure(529) for _ in range(500)]))


def test_a_server_that_has_not_answered_once_is_given_up_after_a_minute() -> None:
    api = BatchApi(faults=[APIConnectionError("refused") for _ in range(500)])
    driven = Driven(api, flow_of(api, waiting=Waiting(longest_pause=10)), ROWS)
    with pytest.raises(APIConnectionError):
        driven.run()
    assert 60 <= sum(driven.pauses) <= 80


def test_a_full_queue_is_waited_for_without_an_end() -> None:
    faults: list[APIError | None] = [failure(429) for _ in range(500)]
    assert numbers(mapped(BatchApi(faults=faults))) == ROWS


def test_a_refused_batch_ends_the_map() -> None:
    with pytest.raises(BadRequestError):
        mapped(BatchApi(faults=[failure(400)]))


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Left()])
@pytest.mark.parametrize("steps", [20, 40])
def test_an_interrupt_cancels_what_is_open(tmp_path: Path, stop: BaseException, steps: int) -> None:
    api = BatchApi(answer=lambda _id, number: {"type": "canceled"} if number < 4 else RESULT)
    driven = Driven(api, flow_of(api, tmp_path / "map", cancel_on_interrupt=True), ROWS)
    with pytest.raises(type(stop)):
        driven.run(steps, stop)
    assert api.batches
    assert all(batch.has_ended for batch in api.batches.values())


def test_rows_that_an_interrupt_has_cancelled_are_sent_anew(tmp_path: Path) -> None:
    before = 0
    api = BatchApi()
    api.answer = lambda _id, number: {"type": "canceled"} if number < before else RESULT
    driven = Driven(api, flow_of(api, tmp_path / "map", cancel_on_interrupt=True), ROWS)
    with pytest.raises(KeyboardInterrupt):
        driven.run(20, KeyboardInterrupt())
    before = len(api.batches)
    resumed = mapped(api, tmp_path / "map")
    assert numbers(resumed) == ROWS
    assert all(result.ok for result in resumed.emitted)


def test_rows_that_somebody_cancels_stay_cancelled() -> None:
    api = BatchApi(answer=lambda _id, _number: {"type": "canceled"})
    driven = mapped(api)
    assert isinstance(driven.emitted[0].error, RowCanceledError)


def test_without_the_option_an_interrupt_cancels_nothing(tmp_path: Path) -> None:
    api = BatchApi()
    with pytest.raises(KeyboardInterrupt):
        Driven(api, flow_of(api, tmp_path / "map"), ROWS).run(20, KeyboardInterrupt())
    assert not any(batch.canceled for batch in api.batches.values())


def test_progress_is_told_and_ends_whole() -> None:
    told: list[Any] = []
    mapped(BatchApi(), progress=told.append)
    assert told[-1].succeeded == told[-1].ended == told[-1].rows == 10
    assert told[-1].batches == ()
    assert [one.sent for one in told] == sorted(one.sent for one in told)
    assert all(one.ended <= one.sent <= one.rows for one in told)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda _: ("same", asked(1)), "another row"),
        (lambda _: ("no spaces", asked(1)), "custom_id"),
        (lambda _: "text", "no parameters"),
        (lambda _: (1, asked(1)), "an id"),
    ],
)
def test_what_is_no_request_is_refused_before_anything_is_sent(function: Any, error: str) -> None:
    api = BatchApi()
    with pytest.raises((ValueError, TypeError), match=error):
        mapped(api, function=function)
    assert not api.calls


def test_ids_of_the_function_are_kept() -> None:
    driven = mapped(BatchApi(), function=lambda row: (f"id_{row}", asked(row)))
    assert driven.emitted[3].custom_id == "id_3"


def test_at_most_so_many_batches_are_open() -> None:
    api, most = BatchApi(), 0

    def count(progress: Any) -> None:
        nonlocal most
        most = max(most, len(progress.batches))

    mapped(api, rows=range(30), open_parts=2, progress=count)
    assert most == 2
    assert len(api.batches) == 10


@pytest.mark.parametrize("wrong", [{"part_requests": 0}, {"part_bytes": 0}, {"open_parts": 0}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is 1"):
        MapOptions(**wrong)  # type: ignore[arg-type]


def test_the_journal_is_lines_of_json(tmp_path: Path) -> None:
    mapped(BatchApi(), tmp_path / "map", rows=[0])
    lines = [json.loads(line) for line in (tmp_path / "map").read_text().splitlines()]
    assert [line["type"] for line in lines] == [
        "map", "request", "part", "batch", "result", "collected",
    ]  # fmt: skip
