"""One answer of llama.cpp, from the tokens of a prompt to events: first a thought, then the rest.

They are two completions: in the first everything may be said but its end, in the second whatever
the caller's tools and formats allow.
"""

from collections.abc import AsyncGenerator, Sequence
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
)
from antiphon.engines.llama.client import Completes, Completion, Piece
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.constraint import (
    Constraint,
    ConstraintRequest,
    SchemaUnsupportedError,
    constraint_request,
)
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.parser import AnswerParser, Rejected
from antiphon.engines.token.answer.reasoning_pass import (
    REPLACEMENT,
    ReasoningPass,
    stopped_for_no_reason,
)
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags

ATTEMPTS: Final = 4
"""How often one call is written until its input fits; the last time with a tight grammar."""

WARM: Final = 0.6
"""The least temperature of an attempt that is not the first."""


class GenerationInput(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of llama.cpp: a prompt's tokens, and what `room` they leave in the context.

    `marks` are those of the model's thoughts, if it thinks at all. `thinks` says that the prompt
    has begun a thought, which may have `budget` tokens. `thought` says that one has been.
    """

    tokens: list[int]
    room: int
    syntax: CallSyntax
    marks: ReasoningTags | None = None
    thinks: bool = False
    budget: int | None = None
    thought: bool = False


async def generate(
    client: Completes, grammars: ConstraintCache, prompt: Prompt, asked: GenerationInput
) -> AsyncGenerator[EngineEvent, None]:
    """Have an answer written.

    A thought that has used up its budget is ended, and a call whose input does not fit its
    schema is written again, from where it began.
    """
    if prompt.max_tokens == 0:
        await _read_only(client, _Answer(prompt, asked, 0, Constraint()).completion())
        yield Finished(FinishReason.MAX_TOKENS)
        return
    # What cannot be kept is refused before anything is thought.
    constraint = await _constraint(grammars, constraint_request(prompt, asked.syntax))
    left = prompt.max_tokens
    if asked.thinks and asked.marks is not None:
        thought = ReasoningPass(asked.tokens, asked.marks)
        most = min(left, asked.room, left if asked.budget is None else asked.budget)
        async with aclosing(thought.think(client, prompt, most)) as events:
            async for event in events:
                yield event
        left -= thought.used
        asked = _rest(asked, thought)
        if min(left, asked.room) <= 0:
            yield Finished(FinishReason.CONTEXT_WINDOW if left else FinishReason.MAX_TOKENS)
            return
    answer = _Answer(prompt, asked, left, constraint)
    while not answer.done:
        async with aclosing(client.complete(answer.completion())) as pieces:
            async for piece in pieces:
                for event in answer.read(piece):
                    yield event
                if answer.rejected is not None:
                    break
        if answer.rejected is not None:
            text = answer.drop_call(answer.rejected)
            answer.resume(text, await client.tokenize(text, control=False) if text else [])
            answer.keep_to(await _constraint(grammars, answer.question))


async def _read_only(client: Completes, completion: Completion) -> None:
    """Have a prompt read. llama.cpp samples a token all the same; nobody shall see or pay it."""
    async with aclosing(client.complete(completion)) as pieces:
        async for _ in pieces:
            pass


async def _constraint(grammars: ConstraintCache, asked: ConstraintRequest) -> Constraint:
    try:
        return await grammars.of(asked)
    except SchemaUnsupportedError as error:
        raise EngineError(EngineErrorKind.UNSUPPORTED, str(error)) from error


def _rest(asked: GenerationInput, thought: ReasoningPass) -> GenerationInput:
    room = asked.room - (len(thought.tokens) - len(asked.tokens))
    return msgspec.structs.replace(asked, tokens=thought.tokens, room=room, thought=True)


class _Written(msgspec.Struct, frozen=True, gc=False):
    """A piece of an answer: how many characters and tokens stand before it."""

    at: int
    tokens: int
    text: str


class _Answer:
    """What is said after all thinking, of at most `left` tokens: in one completion or several."""

    def __init__(
        self, prompt: Prompt, asked: GenerationInput, left: int, constraint: Constraint
    ) -> None:
        self._prompt = prompt
        self._asked = asked
        self._left = left
        self._constraint = constraint
        self._reader = self._reads()
        self._written: list[int] = []
        self._pieces: list[_Written] = []
        self._characters = 0
        self._before = 0
        self._told = 0
        self._attempt = 1
        self._rejected_at: int | None = None
        self.done = False

    @property
    def question(self) -> ConstraintRequest:
        return constraint_request(
            self._prompt,
            self._asked.syntax,
            again=self._attempt > 1,
            tight=self._attempt == ATTEMPTS,
        )

    @property
    def rejected(self) -> Rejected | None:
        return None if self._reader is None else self._reader.rejected

    def keep_to(self, constraint: Constraint) -> None:
        """Have what is written next be as this grammar has it."""
        self._constraint = constraint

    def _reads(self) -> AnswerParser | None:
        """Make a reader, if there can be anything but text."""
        asked, prompt = self._asked, self._prompt
        tools = prompt.tools if prompt.tool_choice.mode != "none" else ()
        if not tools and asked.marks is None:
            return None
        must_fit = constraint_request(prompt, asked.syntax).must_fit
        return AnswerParser(
            AnswerFormat(
                asked.syntax,
                tools,
                tags=asked.marks,
                reasoned=asked.thought,
                constrained=True,
                forced=prompt.tool_choice.mode in ("any", "tool"),
                must_fit=must_fit,
                buffered=must_fit & self._constraint.unkept,
            )
        )

    def completion(self) -> Completion:
        asked, prompt = self._asked, self._prompt
        thoughts = asked.marks.tokens if asked.marks is not None else ()
        marks = (*thoughts, asked.syntax.opening, asked.syntax.closing)
        again = self._attempt > 1
        return Completion(
            prompt=[*asked.tokens, *self._written],
            n_predict=min(self._left, asked.room) - self._before,
            # Without any chance, the same would be written again.
            temperature=max(prompt.temperature, WARM) if again else prompt.temperature,
            top_p=prompt.top_p,
            top_k=None if again and prompt.top_k == 1 else prompt.top_k,
            grammar=self._constraint.grammar,
            preserved_tokens=tuple(filter(None, marks)) if self._reader is not None else None,
        )

    def drop_call(self, rejected: Rejected) -> str:
        """Go back to where a call began; return what was written before it in one token with it.

        What a call costs that nobody gets is not the caller's to pay.
        """
        if rejected.at != self._rejected_at:
            self._rejected_at, self._attempt = rejected.at, 1
        if self._attempt == ATTEMPTS:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"tools: in {ATTEMPTS} attempts this model wrote no input that fits the schema of "
                f"'{rejected.name}' (input{rejected.why}). Ask for less in the schema.",
            )
        self._attempt += 1
        self._before = self._told = self._told - rejected.tokens
        if self._reader is not None:
            self._reader.demanding = self._attempt < ATTEMPTS
            self._reader.retry()
        return self._back_to(rejected.at)

    def _back_to(self, at: int) -> str:
        """Drop the tokens from `at` on; return the text before it of the first of them."""
        first = max(piece.at for piece in self._pieces if piece.at <= at)
        place = next(place for place, piece in enumerate(self._pieces) if piece.at == first)
        between = "".join(piece.text for piece in self._pieces[place:])[: at - first]
        del self._written[self._pieces[place].tokens :]
        del self._pieces[place:]
        self._characters = first
        return between

    def _note(self, text: str, tokens: Sequence[int]) -> None:
        """Write `tokens` down; and where they stand, if it may be gone back to them."""
        if self._reader is not None:
            self._pieces.append(_Written(self._characters, len(self._written), text))
            self._characters += len(text)
        self._written += tokens

    def resume(self, text: str, tokens: list[int]) -> None:
        """Have a text written that was in one token with what is dropped."""
        self._note(text, tokens)

    def read(self, piece: Piece) -> list[EngineEvent]:
        total = self._before + piece.tokens_predicted
        tokens = total - self._told
        # Bytes that are no character (a model may sample any) arrive as U+FFFD.
        text = piece.content.replace(REPLACEMENT, "")
        if piece.tokens_predicted:  # before, it only says how far the prompt has been read
            self._note(text, piece.tokens)
        if piece.stop:
            self.done = True
            reason = self._reason(piece)
            if self._reader is None:
                return [Finished(reason, tokens)]
            return self._reader.finish(reason, tokens)
        if not text:
            return []
        self._told = total
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
