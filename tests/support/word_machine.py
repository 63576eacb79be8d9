"""A token machine in memory: its tokens are words, and its answers are written beforehand."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack

from antiphon.engines.token.engine import TokenEngine, capabilities_of
from antiphon.engines.token.machine import CompletionRequest, ImagePreparer, Piece, PieceEnd
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import Tokenizer
from support.templates import CHATML

CONTROL = re.compile(r"<\|[a-z_]+\|>|</?think>|</?tool_call>")
WORDS = re.compile(r"\s*\w+|\s+|[^\w\s]+")
THINKING = CHATML + "{# <think> #}"
BEGIN = "<|begin|>"


class WordMachine:
    """Numbers words as it meets them, and writes `answers`, one for each completion.

    Some characters make one token, and each control token is one. Where `shows_tokens` is false,
    pieces have their text and their number only. `open` are the completions that are under way.
    """

    def __init__(self, *answers: str, shows_tokens: bool = True) -> None:
        self.ready = True
        self.asked: list[CompletionRequest] = []
        self.open = 0
        self._answers = list(answers)
        self._shows_tokens = shows_tokens
        self._words: dict[tuple[str, bool], int] = {}

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        begin = [self._number(BEGIN, control=True)] if ends else []
        return begin + [self._number(word, control=is_control) for word, is_control in
                        words_of(text, control=control)]  # fmt: skip

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        self.asked.append(request)
        answer = self._answers.pop(0)
        self.open += 1
        try:
            for written, (word, is_control) in enumerate(words_of(answer, control=True)):
                if written == request.max_tokens:
                    yield Piece(end=PieceEnd.LIMIT)
                    return
                await asyncio.sleep(0)
                hidden = is_control and word not in request.shown
                number = (self._number(word, control=is_control),)
                yield Piece(
                    text="" if hidden or word in request.stop else word,
                    count=1,
                    tokens=number if self._shows_tokens else None,
                )
                if word in request.stop:
                    yield Piece(end=PieceEnd.STOP)
                    return
            yield Piece(count=1, end=PieceEnd.MODEL)
        finally:
            self.open -= 1

    def text_of(self, tokens: Sequence[int]) -> str:
        words = {number: word for (word, _), number in self._words.items()}
        return "".join(words[token] for token in tokens)

    def _number(self, word: str, *, control: bool) -> int:
        return self._words.setdefault((word, control), len(self._words))


def words_of(text: str, *, control: bool) -> list[tuple[str, bool]]:
    """Cut a text into words and say of each whether it is a control token."""
    if not control:
        return [(word, False) for word in WORDS.findall(text)]
    words: list[tuple[str, bool]] = []
    at = 0
    for match in CONTROL.finditer(text):
        words += words_of(text[at : match.start()], control=False)
        words.append((match[0], True))
        at = match.end()
    return words + words_of(text[at:], control=False)


async def word_engine(
    machine: WordMachine,
    template: str = CHATML,
    *,
    context: int = 10_000,
    slots: int = 1,
    images: ImagePreparer | None = None,
) -> TokenEngine[WordMachine]:
    """Open an engine on a machine, as every engine on a token machine is opened."""
    chat = ChatTemplate(template, bos=BEGIN, eos="<|im_end|>")
    return TokenEngine(
        machine,
        chat,
        await Tokenizer.open(machine.tokenize),
        capabilities_of(chat, context),
        asyncio.Semaphore(slots),
        images=images,
        resources=AsyncExitStack(),
    )
