"""Generates one answer of a token machine, from the tokens of a prompt to engine events.

An answer takes two completions: reasoning, which is unconstrained, and the rest, which the tools
and formats of the request constrain.
"""

import asyncio
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
)
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.constraint import (
    Constraint,
    ConstraintRequest,
    SchemaUnsupportedError,
    constraint_request,
)
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.parser import AnswerParser, Rejected
from antiphon.engines.token.answer.reasoning_pass import ReasoningPass, unexpected_end
from antiphon.engines.token.answer.states import State
from antiphon.engines.token.answer.transcript import Transcript, text_of
from antiphon.engines.token.machine import Completer, CompletionRequest, Piece, PieceEnd
from antiphon.engines.token.notation.notation import Notation
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags

ATTEMPTS: Final = 4
"""The maximum number of attempts for one call; the last one has a tight grammar. Those that a limit
cuts have a count of their own: they say nothing about the fit."""

MOST_CUT: Final = 2_048
"""The maximum number of tokens, in one answer, of calls that a limit cut and that are generated
again."""

LONG_CALL: Final = 4_000
"""From this many characters on, a thread checks a call."""

WARM: Final = 0.6
"""The minimum temperature of every attempt but the first."""


class GenerationInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a generation: the tokens of a prompt, and the `room` left in the context.

    `tags` are the tags of the model's reasoning, if it reasons. `reasons`: the prompt ends inside
    of reasoning, which may take `budget` tokens. `reasoned`: the prompt contains reasoning. Any of
    the texts `turn_ends` ends the answer, outside of calls and structured outputs.
    """

    tokens: list[int]
    room: int
    syntax: CallSyntax | Notation
    tags: ReasoningTags | None = None
    reasons: bool = False
    budget: int | None = None
    reasoned: bool = False
    turn_ends: tuple[str, ...] = ()


async def generate(
    machine: Completer, constraints: ConstraintCache, prompt: Prompt, given: GenerationInput
) -> AsyncGenerator[EngineEvent, None]:
    """Generate an answer.

    Reasoning ends when its budget is used up. A call whose input does not fit its schema is
    generated again from its first token; so is the call of a forced answer that a limit cut, and
    what begins as a call, but without its mark.
    """
    if prompt.max_tokens == 0:
        await _read_prompt(machine, await _Answer(prompt, given, 0, Constraint()).request(machine))
        yield Finished(FinishReason.MAX_TOKENS)
        return
    # A schema that cannot be enforced is refused before any reasoning.
    constraint = await _constraint(constraints, constraint_request(prompt, given.syntax))
    left = prompt.max_tokens
    if given.reasons and given.tags is not None:
        reasoning = ReasoningPass(given.tokens, given.tags, given.turn_ends)
        most = min(left, given.room, left if given.budget is None else given.budget)
        async with aclosing(reasoning.run(machine, prompt, most)) as events:
            async for event in events:
                yield event
        left -= reasoning.used
        given = _after_reasoning(given, reasoning.tokens)
        if min(left, given.room) <= 0:
            yield Finished(FinishReason.CONTEXT_WINDOW if left else FinishReason.MAX_TOKENS)
            return
    answer = _Answer(prompt, given, left, constraint)
    async with aclosing(_generate_answer(machine, constraints, answer)) as events:
        async for event in events:
            yield event


async def _generate_answer(
    machine: Completer, constraints: ConstraintCache, answer: "_Answer"
) -> AsyncGenerator[EngineEvent, None]:
    """Yield the events of an answer: one completion, and another one for each rejected call."""
    while not answer.finished:
        async with aclosing(machine.complete(await answer.request(machine))) as pieces:
            async for piece in pieces:
                slow = answer.checks_slowly
                events = await asyncio.to_thread(answer.read, piece) if slow else answer.read(piece)
                for event in events:
                    yield event
                if answer.needs_no_more:
                    break
        if answer.rejected is not None:
            answer.drop_call(answer.rejected)
            answer.constraint = await _constraint(constraints, answer.constraint_request)


async def _read_prompt(machine: Completer, request: CompletionRequest) -> None:
    """Have the machine read a prompt; a token that it samples anyway is dropped."""
    async with aclosing(machine.complete(request)) as pieces:
        async for _ in pieces:
            pass


async def _constraint(constraints: ConstraintCache, request: ConstraintRequest) -> Constraint:
    try:
        return await constraints.of(request)
    except SchemaUnsupportedError as error:
        raise EngineError(EngineErrorKind.UNSUPPORTED, str(error)) from error


def _after_reasoning(given: GenerationInput, tokens: list[int]) -> GenerationInput:
    room = given.room - (len(tokens) - len(given.tokens))
    return msgspec.structs.replace(given, tokens=tokens, room=room, reasoned=True)


class _Answer:
    """The answer without its reasoning, of at most `left` tokens, in one or more completions.

    `constraint` applies to the next completion.
    """

    def __init__(
        self, prompt: Prompt, given: GenerationInput, left: int, constraint: Constraint
    ) -> None:
        self.constraint = constraint
        self.finished = False
        self._prompt = prompt
        self._given = given
        self._left = left
        self._is_text = False  # the answer cannot be anything else
        self._parser = self._make_parser()
        self._transcript = Transcript()
        self._spent = 0  # tokens of the pieces that the parser has read
        self._unread = 0  # tokens of pieces without text since then
        self._rejected_at: int | None = None
        self._within = False  # the section of another call
        self._warm = False  # a call did not fit, or was cut
        self._misfits = 0  # of the call at that position
        self._cuts = 0  # of the first call, which alone is generated again after one
        self._cut_tokens = 0

    @property
    def constraint_request(self) -> ConstraintRequest:
        return constraint_request(
            self._prompt,
            self._given.syntax,
            again=self._again,
            within=self._within,
            start=self._rejected_at in (None, 0),
            tight=ATTEMPTS - 1 in (self._misfits, self._cuts),
        )

    @property
    def _again(self) -> bool:
        """Whether a call has been rejected, and the next output takes its place."""
        return self._rejected_at is not None

    @property
    def rejected(self) -> Rejected | None:
        return None if self._parser is None else self._parser.rejected

    @property
    def needs_no_more(self) -> bool:
        """Whether the rest of the completion is not wanted: it ended, or a call was rejected."""
        return self.finished or self.rejected is not None

    @property
    def checks_slowly(self) -> bool:
        """Whether the next piece may end a call whose check takes over a few milliseconds."""
        parser = self._parser
        if parser is None or parser.state is not State.CALL:
            return False
        return self.constraint.slow or parser.held > LONG_CALL

    def _make_parser(self) -> AnswerParser | None:
        """Return a parser if the answer may contain anything but text, or text that ends it."""
        given, prompt = self._given, self._prompt
        tools = prompt.callable_tools if prompt.tool_choice.mode != "none" else ()
        syntax = given.syntax
        ends = isinstance(syntax, Notation) and syntax.closes_text
        self._is_text = not tools and given.tags is None and not ends
        # An output that holds to a schema may have any mark in its texts.
        turn_ends = given.turn_ends if prompt.output_schema is None else ()
        if self._is_text and not turn_ends:
            return None
        must_fit = constraint_request(prompt, given.syntax).must_fit
        return AnswerParser(
            AnswerFormat(
                given.syntax,
                tools,
                tags=given.tags,
                reasoned=given.reasoned,
                prefilled=prompt.turns[-1].role == "assistant",
                with_schema=prompt.output_schema is not None,
                constrained=True,
                forced=prompt.tool_choice.mode in ("any", "tool"),
                turn_ends=turn_ends,
                must_fit=must_fit,
                buffered=must_fit & self.constraint.unenforced,
            )
        )

    async def request(self, machine: Completer) -> CompletionRequest:
        """Return the request for the rest of the answer."""
        given, prompt = self._given, self._prompt
        reasoning = given.tags.tokens if given.tags is not None else ()
        shown = (*reasoning, *given.syntax.marks)
        return CompletionRequest(
            tokens=[*given.tokens, *await self._transcript.tokens(machine)],
            max_tokens=min(self._left, given.room) - self._spent,
            # Without randomness, the model would generate the same call again.
            temperature=max(prompt.temperature, WARM) if self._warm else prompt.temperature,
            top_p=prompt.top_p,
            top_k=None if self._warm and prompt.top_k == 1 else prompt.top_k,
            grammar=self.constraint.grammar,
            shown=tuple(filter(None, shown)) if not self._is_text else (),
        )

    def drop_call(self, rejected: Rejected) -> None:
        """Go back to the first token of a rejected call; its tokens are not charged."""
        if rejected.at != self._rejected_at:
            self._rejected_at, self._misfits = rejected.at, 0
        self._warm = self._warm or not rejected.unmarked
        # The grammar of the next completion begins with the mark: one attempt is enough.
        if rejected.is_cut:
            self._cuts += 1
            self._cut_tokens += rejected.tokens
        elif not rejected.unmarked:
            self._misfits += 1
        if self._misfits == ATTEMPTS:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"tools: in {ATTEMPTS} attempts this model wrote no input that fits the schema of "
                f"'{rejected.name}' (input{rejected.why}). Ask for less in the schema.",
            )
        self._spent -= rejected.tokens
        self._unread = 0
        self._within = rejected.within
        self._transcript.cut(rejected.at)
        if self._parser is not None:
            self._parser.demanding = self._misfits < ATTEMPTS - 1
            self._parser.retry()

    def read(self, piece: Piece) -> list[EngineEvent]:
        self._unread += piece.count
        text = text_of(piece)
        if piece.end is not None:
            if piece.end is PieceEnd.LIMIT and self._rejects_cut_call():
                return []
            self.finished = True
            reason = self._reason(piece.end)
            if self._parser is None:
                return [Finished(reason, self._unread)]
            return self._parser.finish(reason, self._unread)
        if self._parser is not None:  # without a parser no call is rejected
            self._transcript.add(piece)
        if not text:
            return []
        tokens, self._unread = self._unread, 0
        self._spent += tokens
        if self._parser is None:
            return [TextChunk(text, tokens)]
        events = self._parser.feed(text, tokens)
        if self._parser.ended:
            self.finished = True
            events += self._parser.finish(FinishReason.END_TURN, 0)
        return events

    def _rejects_cut_call(self) -> bool:
        """Reject the call of a forced answer that a limit has cut, if it may be generated again.

        A small model sometimes does not end a text. The next attempt seldom does the same, and what
        was cut is of no use. A long call is left as it is: it may be meant.
        """
        tokens = None if self._parser is None else self._parser.unfinished_call
        if self._parser is None or tokens is None:
            return False
        if self._cuts == ATTEMPTS - 1 or self._cut_tokens + tokens > MOST_CUT:
            return False
        self._parser.reject_unfinished()
        return True

    def _reason(self, end: PieceEnd) -> FinishReason:
        if end is PieceEnd.MODEL:
            return FinishReason.END_TURN
        if end is PieceEnd.STOP:
            raise unexpected_end(end)
        limited = self._given.room < self._left
        return FinishReason.CONTEXT_WINDOW if limited else FinishReason.MAX_TOKENS
