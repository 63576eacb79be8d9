"""What is not HTTP is answered before there is a request: in the envelope too."""

from collections.abc import Callable

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from antiphon.core.errors import InvalidRequestError
from antiphon.core.identity import ID_ENTROPY, request_id
from antiphon.server.envelope import envelope, headers


def protocol_for(entropy: Callable[[int], bytes]) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, but that it refuses as the API does."""

    class EnvelopeProtocol(HttpToolsProtocol):
        def send_400_response(self, msg: str) -> None:
            self.transport.write(refusal(msg, request_id(entropy(ID_ENTROPY))))
            self.transport.close()

    return EnvelopeProtocol


def refusal(message: str, request: str) -> bytes:
    """Return a whole answer that says so, and closes the connection."""
    error = InvalidRequestError(message)
    body = msgspec.json.encode(envelope(error, request))
    said = {
        "content-type": "application/json",
        "request-id": request,
        **headers(error),
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = ["HTTP/1.1 400 Bad Request", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
