"""What is not HTTP is answered before there is a request: in the envelope too."""

from collections.abc import Callable

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from antiphon.core.errors import InvalidRequestError
from antiphon.core.identity import ID_ENTROPY, request_id
from antiphon.wire.errors import ErrorDetail, ErrorEnvelope


def protocol_for(entropy: Callable[[int], bytes]) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, but that it refuses as the API does."""

    class EnvelopeProtocol(HttpToolsProtocol):
        def send_400_response(self, msg: str) -> None:
            self.transport.write(refusal(msg, request_id(entropy(ID_ENTROPY))))
            self.transport.close()

    return EnvelopeProtocol


def refusal(message: str, request: str) -> bytes:
    """Return a whole answer that says so, and closes the connection."""
    error = ErrorDetail(type=InvalidRequestError.type, message=message, details=None)
    body = msgspec.json.encode(ErrorEnvelope(error=error, request_id=request))
    head = (
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
        f"request-id: {request}\r\nx-should-retry: false\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
