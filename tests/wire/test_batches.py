import json

import msgspec
import pytest

from antiphon.wire.batches import (
    BatchResult,
    Canceled,
    Errored,
    Expired,
    MessageBatch,
    RequestCounts,
    Succeeded,
    result_line,
)
from antiphon.wire.errors import ErrorDetail, ErrorEnvelope

ENCODED = msgspec.Raw(b'{"id" : "msg_01",\t"content":["\\n\xc3\xa9"]}')
ERROR = ErrorEnvelope(error=ErrorDetail(type="api_error", message="a\nb"), request_id=None)


def test_batch_has_ten_keys_with_explicit_nulls() -> None:
    batch = MessageBatch(
        id="msgbatch_01",
        processing_status="in_progress",
        request_counts=RequestCounts(processing=1),
        ended_at=None,
        created_at="2026-09-01T00:00:00.000000Z",
        expires_at="2026-09-02T00:00:00.000000Z",
        cancel_initiated_at=None,
        archived_at=None,
        results_url=None,
    )
    said = json.loads(msgspec.json.encode(batch))
    assert len(said) == 10
    assert {key for key, value in said.items() if value is None} == {
        "ended_at",
        "cancel_initiated_at",
        "archived_at",
        "results_url",
    }
    assert said["request_counts"] == {
        "processing": 1,
        "succeeded": 0,
        "errored": 0,
        "canceled": 0,
        "expired": 0,
    }


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Canceled(), b'{"custom_id":"a","result":{"type":"canceled"}}\n'),
        (Expired(), b'{"custom_id":"a","result":{"type":"expired"}}\n'),
        (
            Errored(error=ERROR),
            (
                b'{"custom_id":"a","result":{"type":"errored","error":{"type":"error","error":'
                b'{"type":"api_error","message":"a\\nb"},"request_id":null}}}\n'
            ),
        ),
        (
            Succeeded(message=ENCODED),
            b'{"custom_id":"a","result":{"type":"succeeded","message":' + bytes(ENCODED) + b"}}\n",
        ),
    ],
)
def test_line_is_one_result_of_one_request(result: BatchResult, line: bytes) -> None:
    assert result_line("a", result) == line
    # A result that was encoded before, as it is stored, gives the same line.
    assert result_line("a", msgspec.Raw(msgspec.json.encode(result))) == line
