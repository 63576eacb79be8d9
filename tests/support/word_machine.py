"""A token machine in memory: its tokens are words, and its answers are scripted."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.engines.token.engine import TokenEngine, capabilities_of
from antiphon.engines.token.machine import CompletionRequest, ImagePreparer, Piece, PieceEnd
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import RenderedPrompt, Tokenizer
from support.templates import CHATML

CONTROL = re.compile(r"<\|[a-z_]+\|>|</?think>|</?tool_call>")
WORDS = re.compile(r"\s*\w+|\s+|[^\w\s]+")
THINKING = CHATML + "{% if add_generation_prompt %}<think>\n{% endif %}"
BEGIN = "<|begin|>"


class WordMachine:
    """Numbers words in the order in which it meets them; each completion writes the next answer.

    A word, a space or a sign is one token, and so is each `control` token. Unless `shows_tokens`,
    pieces have a text and a count only. `open` is the number of running completions, of which
    `slots` run at once. Prompts of one salt share their prefixes.
    """

    def __init__(
        self,
        *answers: str,
        shows_tokens: bool = True,
        slots: int = 1,
        keeps_prefixes: bool = False,
        control: re.Pattern[str] = CONTROL,
    ) -> None:
        self.ready = True
        self.keeps_prefixes = keeps_prefixes
        self.confirmed = Confirmation(0)
        self._control = control
        self._slots = asyncio.Semaphore(slots)
        self._kept: set[tuple[str, tuple[int, ...]]] = set()
        self.asked: list[CompletionRequest] = []
        self.open = 0
        self._answers = list(answers)
        self._shows_tokens = shows_tokens
        self._words: dict[tuple[str, bool], int] = {}

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        begin = [self._number(BEGIN, control=True)] if ends else []
        return begin + [self._number(word, control=is_control) for word, is_control in
                        words_of(text, control=control, marks=self._control)]  # fmt: skip

    @asynccontextmanager
    async def completions(
        self,
        prompt: RenderedPrompt,
        salt: str,
        hints: Hints = NO_HINTS,
        parking: Parking | None = None,
    ) -> AsyncGenerator["WordMachine", None]:
        del hints, parking
        async with self._slots:
            ends = {edge.at for edge in prompt.breakpoints}
            prefixes = {(salt, tuple(prompt.tokens[:at])) for at in ends}
            reused = max((len(tokens) for _, tokens in prefixes & self._kept), default=0)
            self._kept |= prefixes
            self.confirmed = Confirmation(reused, frozenset(ends))
            yield self

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        self.asked.append(request)
        answer = self._answers.pop(0)
        self.open += 1
        try:
            for written, (word, is_control) in enumerate(
                words_of(answer, control=True, marks=self._control)
            ):
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


def words_of(
    text: str, *, control: bool, marks: re.Pattern[str] = CONTROL
) -> list[tuple[str, bool]]:
    """Cut a text into words, each with whether it is a control token, which one of `marks` is."""
    if not control:
        return [(word, False) for word in WORDS.findall(text)]
    words: list[tuple[str, bool]] = []
    at = 0
    for match in marks.finditer(text):
        words += words_of(text[at : match.start()], control=False)
        words.append((match[0], True))
        at = match.end()
    return words + words_of(text[at:], control=False)


async def word_engine(
    machine: WordMachine,
    template: str = CHATML,
    *,
    context: int = 10_000,
    images: ImagePreparer | None = None,
    temperature: float | None = None,
) -> TokenEngine[WordMachine]:
    """Return an engine on a token machine, opened as a real one is."""
    chat = ChatTemplate(template, bos=BEGIN, eos="<|im_end|>")
    return TokenEngine(
        machine,
        chat,
        await Tokenizer.open(machine.tokenize),
        capabilities_of(chat, context, keeps_prefixes=machine.keeps_prefixes),
        images=images,
        temperature=temperature,
        resources=AsyncExitStack(),
    )
