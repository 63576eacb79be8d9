"""What clients of servers of token arrays ask for and read alike."""

from typing import Any, Final

from antiphon.engines.base import EngineError
from antiphon.engines.token.machine import Piece, PieceEnd
from antiphon.engines.token_server.decoding import PieceDecoder
from antiphon.engines.upstream.http import failed
from antiphon.engines.upstream.refusals import RefusedError, refusal, sentence

DONE: Final = "[DONE]"
"""What the last event of a stream holds."""
FAILURE: Final = 500
LEAST_TOP_P: Final = 1e-6


def sent_top_p(top_p: float | None) -> float | None:
    """Return what to send: servers refuse a `top_p` of 0, which means the likeliest token alone."""
    return None if top_p is None else max(top_p, LEAST_TOP_P)


def pieces_of(
    decoder: PieceDecoder, tokens: list[int], reason: str | None, *, by_model: bool = True
) -> list[Piece]:
    """Return the pieces of one event, `reason` of which says why the answer ends.

    An answer that stops ends `by_model`, whose last token is no part of the text, or at a text that
    the server was told. Raises `EngineError` for an answer that was broken off.
    """
    is_end = reason == "stop" and by_model
    found = list(decoder.feed(tokens[:-1] if is_end else tokens))
    if decoder.ended or reason is None:
        return found
    if is_end:
        return [*found, *decoder.end(PieceEnd.MODEL, min(1, len(tokens)))]
    if reason == "stop":
        return [*found, *decoder.end(PieceEnd.STOP)]
    if reason == "length":
        return [*found, *decoder.end(PieceEnd.LIMIT)]
    raise failed(f"the answer was broken off: {reason}")


def unended() -> EngineError:
    """Return the error of a stream that ends before its answer does."""
    return failed("it ended an answer in the middle")


def broken(error: Any) -> RefusedError:
    """Return the error that an event of a stream tells of."""
    code = error.get("code") if isinstance(error, dict) else None
    return refusal(code if isinstance(code, int) else FAILURE, sentence(error), None, error)
