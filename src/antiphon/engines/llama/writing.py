"""One answer of llama.cpp, from the tokens of a prompt to events: first a thought, then the rest.

They are two completions: in the first everything may be said but its end, in the second whatever
the caller's tools and formats allow.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from antiphon.engines.base import EngineEvent, Finished, FinishReason, Prompt, TextChunk
from antiphon.engines.llama.calls import AnswerReader, Reading
from antiphon.engines.llama.client import Completes, Completion, Piece
from antiphon.engines.llama.constraints import answer_grammar
from antiphon.engines.llama.syntax import CallSyntax
from antiphon.engines.llama.thinking import REPLACEMENT, Thought, stopped_for_no_reason
from antiphon.engines.llama.thoughts import ThoughtMarks


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of llama.cpp: a prompt's tokens, and what `room` they leave in the context.

    `marks` are those of the model's thoughts, if it thinks at all. `thinks` says that the prompt
    has begun a thought, which may have `budget` tokens. `thought` says that one has been.
    """

    tokens: list[int]
    room: int
    syntax: CallSyntax
    marks: ThoughtMarks | None = None
    thinks: bool = False
    budget: int | None = None
    thought: bool = False


async def written(
    client: Completes, prompt: Prompt, asked: Asked
) -> AsyncGenerator[EngineEvent, None]:
    """Have an answer written; a thought that has used up its budget is ended."""
    if prompt.max_tokens == 0:
        # Asked for no token, llama.cpp samples one all the same; nobody shall see or pay it.
        async with aclosing(client.complete(_Answer(prompt, asked, 0).completion())) as pieces:
            async for _ in pieces:
                pass
        yield Finished(FinishReason.MAX_TOKENS)
        return
    left = prompt.max_tokens
    if asked.thinks and asked.marks is not None:
        thought = Thought(asked.tokens, asked.marks)
        most = min(left, asked.room, left if asked.budget is None else asked.budget)
        async with aclosing(thought.think(client, prompt, most)) as events:
            async for event in events:
                yield event
        left -= thought.used
        asked = _rest(asked, thought)
        if min(left, asked.room) <= 0:
            yield Finished(FinishReason.CONTEXT_WINDOW if left else FinishReason.MAX_TOKENS)
            return
    answer = _Answer(prompt, asked, left)
    async with aclosing(client.complete(answer.completion())) as pieces:
        async for piece in pieces:
            for event in answer.read(piece):
                yield event


def _rest(asked: Asked, thought: Thought) -> Asked:
    room = asked.room - (len(thought.tokens) - len(asked.tokens))
    return msgspec.structs.replace(asked, tokens=thought.tokens, room=room, thought=True)


class _Answer:
    """What is said after all thinking, in one completion of at most `left` tokens."""

    def __init__(self, prompt: Prompt, asked: Asked, left: int) -> None:
        self._prompt = prompt
        self._asked = asked
        self._left = left
        self._reader = self._reads()
        self._told = 0

    def _reads(self) -> AnswerReader | None:
        """Make a reader, if there can be anything but text."""
        asked, prompt = self._asked, self._prompt
        tools = prompt.tools if prompt.tool_choice.mode != "none" else ()
        if not tools and asked.marks is None:
            return None
        return AnswerReader(
            Reading(
                asked.syntax,
                tools,
                marks=asked.marks,
                thought=asked.thought,
                sure=True,
                forced=prompt.tool_choice.mode in ("any", "tool"),
            )
        )

    def completion(self) -> Completion:
        asked, prompt = self._asked, self._prompt
        thoughts = asked.marks.tokens if asked.marks is not None else ()
        marks = (*thoughts, asked.syntax.opening, asked.syntax.closing)
        return Completion(
            prompt=asked.tokens,
            n_predict=min(self._left, asked.room),
            temperature=prompt.temperature,
            top_p=prompt.top_p,
            top_k=prompt.top_k,
            grammar=answer_grammar(prompt, asked.syntax),
            preserved_tokens=tuple(filter(None, marks)) if self._reader is not None else None,
        )

    def read(self, piece: Piece) -> list[EngineEvent]:
        tokens = piece.tokens_predicted - self._told
        if piece.stop:
            reason = self._reason(piece)
            if self._reader is None:
                return [Finished(reason, tokens)]
            return self._reader.finish(reason, tokens)
        # Bytes that are no character (a model may sample any) arrive as U+FFFD.
        text = piece.content.replace(REPLACEMENT, "")
        if not text:
            return []
        self._told = piece.tokens_predicted
        if self._reader is None:
            return [TextChunk(text, tokens)]
        return self._reader.feed(text, tokens)

    def _reason(self, last: Piece) -> FinishReason:
        if last.stop_type == "eos":
            return FinishReason.END_TURN
        if last.stop_type != "limit":
            raise stopped_for_no_reason(last)
        limited = self._asked.room < self._left
        return FinishReason.CONTEXT_WINDOW if limited else FinishReason.MAX_TOKENS
