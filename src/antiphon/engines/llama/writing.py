"""One answer of llama.cpp, from the tokens of a prompt to events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
    ThinkingChunk,
)
from antiphon.engines.llama.calls import AnswerReader, Reading
from antiphon.engines.llama.client import Completes, Completion, Piece
from antiphon.engines.llama.constraints import answer_grammar
from antiphon.engines.llama.syntax import THINK, THOUGHT, CallSyntax

REPLACEMENT: Final = "\ufffd"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of llama.cpp: a prompt's tokens, and what `room` they leave in the context.

    `thinks` says that the answer may begin with a thought, `thinking` that it is in one already.
    """

    tokens: list[int]
    room: int
    syntax: CallSyntax
    thinks: bool = False
    thinking: bool = False


async def written(
    client: Completes, prompt: Prompt, asked: Asked
) -> AsyncGenerator[EngineEvent, None]:
    """Have an answer written; a thought that has used up its budget is ended."""
    answer = _Answer(prompt, asked)
    if prompt.max_tokens == 0:
        # Asked for no token, llama.cpp samples one all the same; nobody shall see or pay it.
        async with aclosing(client.complete(answer.completion())) as pieces:
            async for _ in pieces:
                pass
        yield Finished(FinishReason.MAX_TOKENS)
        return
    while not answer.done:
        async with aclosing(client.complete(answer.completion())) as pieces:
            async for piece in pieces:
                for event in answer.read(piece):
                    yield event
                if answer.overthought:
                    break
        if answer.overthought:
            for event in answer.end_thought(await client.tokenize(f"\n{THOUGHT}", control=True)):
                yield event


class _Answer:
    """An answer in the making, in one completion or several."""

    def __init__(self, prompt: Prompt, asked: Asked) -> None:
        self._prompt = prompt
        self._asked = asked
        self._limit = min(prompt.max_tokens, asked.room)
        self._reader = self._reads()
        self._written: list[int] = []
        self._before = 0
        self._told = 0
        self._thought = 0
        self.done = False

    def _reads(self) -> AnswerReader | None:
        """Make a reader, if there can be anything but text."""
        asked, prompt = self._asked, self._prompt
        tools = prompt.tools if prompt.tool_choice.mode != "none" else ()
        if not tools and not asked.thinks:
            return None
        return AnswerReader(
            Reading(
                asked.syntax,
                tools,
                thinks=asked.thinks,
                thinking=asked.thinking,
                sure=True,
                forced=prompt.tool_choice.mode in ("any", "tool"),
            )
        )

    def completion(self) -> Completion:
        asked, prompt = self._asked, self._prompt
        marks = (THINK, THOUGHT, asked.syntax.opening, asked.syntax.closing)
        return Completion(
            prompt=[*asked.tokens, *self._written],
            n_predict=self._limit - self._before,
            temperature=prompt.temperature,
            top_p=prompt.top_p,
            top_k=prompt.top_k,
            grammar=answer_grammar(
                prompt, asked.syntax, thinks=asked.thinks, thinking=asked.thinking
            ),
            preserved_tokens=tuple(filter(None, marks)) if self._reader is not None else None,
        )

    def read(self, piece: Piece) -> list[EngineEvent]:
        total = self._before + piece.tokens_predicted
        tokens = total - self._told
        self._written += piece.tokens
        if piece.stop:
            self.done = True
            reason = _reason(piece, limited=self._limit < self._prompt.max_tokens)
            if self._reader is None:
                return [Finished(reason, tokens)]
            return self._reader.finish(reason, tokens)
        # Bytes that are no character (a model may sample any) arrive as U+FFFD.
        text = piece.content.replace(REPLACEMENT, "")
        if not text:
            return []
        self._told = total
        if self._reader is None:
            return [TextChunk(text, tokens)]
        events = self._reader.feed(text, tokens)
        self._thought += sum(e.tokens for e in events if isinstance(e, ThinkingChunk))
        return events

    @property
    def overthought(self) -> bool:
        budget = self._prompt.thinking.budget
        reader = self._reader
        return (
            not self.done
            and budget is not None
            and reader is not None
            and reader.thinking
            and self._thought >= budget
            and self._told < self._limit
        )

    def end_thought(self, closing: list[int]) -> list[EngineEvent]:
        """End the thought for the model; the tokens of its end are not the caller's to pay."""
        self._written += closing
        self._before = self._told
        self._asked = msgspec.structs.replace(self._asked, thinks=False, thinking=False)
        return self._reader.feed(THOUGHT, 0) if self._reader is not None else []


def _reason(last: Piece, *, limited: bool) -> FinishReason:
    if last.stop_type == "eos":
        return FinishReason.END_TURN
    if last.stop_type != "limit":
        raise EngineError(
            EngineErrorKind.FAILED, f"llama.cpp stopped for an unknown reason: {last.stop_type!r}"
        )
    return FinishReason.CONTEXT_WINDOW if limited else FinishReason.MAX_TOKENS
