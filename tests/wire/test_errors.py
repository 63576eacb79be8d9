import msgspec

from antiphon.wire.errors import ErrorDetail, ErrorEnvelope


def test_details_are_absent_unless_there_are_some() -> None:
    envelope = ErrorEnvelope(error=ErrorDetail(type="api_error", message="x"), request_id=None)
    assert msgspec.json.encode(envelope) == (
        b'{"type":"error","error":{"type":"api_error","message":"x"},"request_id":null}'
    )
