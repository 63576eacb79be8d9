"""The calls of the general format, with any space between their parts."""

from antiphon.engines.token.answer.lexing import (
    CallEnd,
    HeadPattern,
    JsonEnd,
    decode_call,
    match_spaced,
)
from antiphon.engines.token.notation.calls import CallHead, Closing, FoundCall
from antiphon.engines.token.notation.reader import Progress
from antiphon.engines.token.prompt.call_syntax import CallSyntax


class TaggedCalls:
    """The calls of the general format, with any space between their parts."""

    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax = syntax
        self._head = HeadPattern(syntax)

    def head(self, text: str, limit: int | None = None, *, within: bool = False) -> CallHead | None:  # noqa: ARG002 - there are no sections
        return self._head.match(text, limit)

    def may_begin(self, text: str) -> bool:
        return bool(self._syntax.opening) or text.startswith("{")

    def scan(self, *, within: bool = False) -> "_TaggedScan":  # noqa: ARG002 - there are no sections
        return _TaggedScan(self._syntax)

    def reader(self, name: str) -> "_JsonReader":  # noqa: ARG002 - all inputs are written alike
        return _JsonReader()

    def closing(self, text: str, name: str) -> Closing:  # noqa: ARG002 - all calls end alike
        closing = self._syntax.closing
        found = match_spaced(text, "}", *((closing,) if closing else ()))
        is_open = not found.whole and found.length == len(text)
        return Closing(found.length, found.whole, open=is_open)


class _JsonReader:
    def __init__(self) -> None:
        self._end = JsonEnd()

    def read(self, text: str) -> Progress:
        end = self._end.find(text)
        piece = text[:end]
        return Progress(len(piece), piece, end is not None)


class _TaggedScan:
    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax = syntax
        self._end = CallEnd(syntax.closing)
        self._seen = 0
        self._length: int | None = None

    @property
    def begun(self) -> bool:
        return self._end.begun

    def skim(self, piece: str) -> bool:
        self._seen += len(piece)
        self._length = self._end.find(piece)
        return self._length is not None

    def find(self, text: str, *, ended: bool) -> FoundCall | None:  # noqa: ARG002 - it decides without
        if self._length is None and not self.skim(text[self._seen :]):
            return None
        return FoundCall(self._length or 0, decode_call(text[: self._length], self._syntax))
