"""A token machine that writes the words that it is given."""

from collections.abc import AsyncGenerator, Sequence

from antiphon.core.prompt import Prompt, Thinking
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd
from support.conversation import turn

END, GAP = "\n</think>\n\n", "\n\n"


class ScriptedMachine:
    """Writes one token for each word it is given, one list of words for each completion.

    Of the character `é` it shows the last of its two tokens only, as machine.cpp does.
    """

    ready = True

    def __init__(self, *answers: Sequence[str], end: PieceEnd | None = None) -> None:
        self._answers = list(answers)
        self._end = end
        self.asked: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        self.asked.append(request)
        words = self._answers.pop(0)
        total = 0
        for word in words:
            count = 2 if word == "é" else 1
            total += count
            closes = word in request.stop
            tokens = (100 + total,) if count == 1 else None
            yield Piece(text="" if closes else word, tokens=tokens, count=count)
            if closes or total >= request.max_tokens:
                yield Piece(end=self._end or (PieceEnd.STOP if closes else PieceEnd.LIMIT))
                return
        yield Piece(end=self._end or PieceEnd.MODEL, count=1)

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        assert control == (text in {END, GAP})
        assert not ends
        return [len(text)] * len(text.split() or " ")


def words_prompt(max_tokens: int = 50, **more: object) -> Prompt:
    thinking = Thinking(mode="enabled", budget=1024)
    return Prompt((turn("user", "Hi"),), max_tokens, thinking=thinking, **more)
