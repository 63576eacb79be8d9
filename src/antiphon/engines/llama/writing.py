"""One answer of llama.cpp, from the tokens of a prompt to events."""

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
    ThinkingChunk,
)
from antiphon.engines.llama.calls import AnswerReader, Reading, Rejected
from antiphon.engines.llama.client import Completion, LlamaClient, Piece
from antiphon.engines.llama.constraints import (
    Constraint,
    Question,
    SchemaUnsupportedError,
    question,
)
from antiphon.engines.llama.grammars import Grammars
from antiphon.engines.llama.syntax import THINK, THOUGHT, CallSyntax

REPLACEMENT: Final = "\ufffd"

ATTEMPTS: Final = 4
"""How often one call is written until its input fits; the last time with a tight grammar."""

WARM: Final = 0.6
"""The least temperature of an attempt that is not the first."""


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
    client: LlamaClient, grammars: Grammars, prompt: Prompt, asked: Asked
) -> AsyncGenerator[EngineEvent, None]:
    """Have an answer written.

    A thought that has used up its budget is ended, and a call whose input does not fit its
    schema is written again, from where it began.
    """
    answer = _Answer(prompt, asked)
    if prompt.max_tokens == 0:
        await _read_only(client, answer.completion())
        yield Finished(FinishReason.MAX_TOKENS)
        return
    while not answer.done:
        answer.keep_to(await _constraint(grammars, answer.question))
        async with aclosing(client.complete(answer.completion())) as pieces:
            async for piece in pieces:
                for event in answer.read(piece):
                    yield event
                if answer.overthought or answer.rejected is not None:
                    break
        if answer.rejected is not None:
            text = answer.drop_call(answer.rejected)
            answer.resume(text, await client.tokenize(text, control=False) if text else [])
        elif answer.overthought:
            for event in answer.end_thought(await client.tokenize(f"\n{THOUGHT}", control=True)):
                yield event


async def _read_only(client: LlamaClient, completion: Completion) -> None:
    """Have a prompt read. llama.cpp samples a token all the same; nobody shall see or pay it."""
    async with aclosing(client.complete(completion)) as pieces:
        async for _ in pieces:
            pass


async def _constraint(grammars: Grammars, asked: Question) -> Constraint:
    try:
        return await grammars.of(asked)
    except SchemaUnsupportedError as error:
        raise EngineError(EngineErrorKind.UNSUPPORTED, str(error)) from error


class _Written(msgspec.Struct, frozen=True, gc=False):
    """A piece of an answer: how many characters and tokens stand before it."""

    at: int
    tokens: int
    text: str


class _Answer:
    """An answer in the making, in one completion or several."""

    def __init__(self, prompt: Prompt, asked: Asked) -> None:
        self._prompt = prompt
        self._asked = asked
        self._limit = min(prompt.max_tokens, asked.room)
        self._constraint = Constraint()
        self._reader: AnswerReader | None = None
        self._written: list[int] = []
        self._pieces: list[_Written] = []
        self._characters = 0
        self._before = 0
        self._told = 0
        self._thought = 0
        self._attempt = 1
        self._rejected_at: int | None = None
        self.done = False

    @property
    def question(self) -> Question:
        again = self._attempt > 1
        return question(
            self._prompt,
            self._asked.syntax,
            thinks=self._asked.thinks and not again,
            thinking=self._asked.thinking and not again,
            again=again,
            tight=self._attempt == ATTEMPTS,
        )

    @property
    def rejected(self) -> Rejected | None:
        return None if self._reader is None else self._reader.rejected

    def keep_to(self, constraint: Constraint) -> None:
        """Read what is written next as this grammar has it."""
        self._constraint = constraint
        if self._reader is None:
            self._reader = self._reads()

    def _reads(self) -> AnswerReader | None:
        """Make a reader, if there can be anything but text."""
        asked, prompt = self._asked, self._prompt
        tools = prompt.tools if prompt.tool_choice.mode != "none" else ()
        if not tools and not asked.thinks:
            return None
        must_fit = self.question.must_fit
        return AnswerReader(
            Reading(
                asked.syntax,
                tools,
                thinks=asked.thinks,
                thinking=asked.thinking,
                sure=True,
                forced=prompt.tool_choice.mode in ("any", "tool"),
                must_fit=must_fit,
                held=must_fit & self._constraint.unkept,
            )
        )

    def completion(self) -> Completion:
        asked, prompt = self._asked, self._prompt
        marks = (THINK, THOUGHT, asked.syntax.opening, asked.syntax.closing)
        again = self._attempt > 1
        return Completion(
            prompt=[*asked.tokens, *self._written],
            n_predict=self._limit - self._before,
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
            self._reader.again()
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
        self._note(text, piece.tokens)
        if piece.stop:
            self.done = True
            reason = _reason(piece, limited=self._limit < self._prompt.max_tokens)
            if self._reader is None:
                return [Finished(reason, tokens)]
            return self._reader.finish(reason, tokens)
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
        self._note(THOUGHT, closing)
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
