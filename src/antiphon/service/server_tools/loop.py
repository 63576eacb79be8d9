"""The loop of an answer with tools that this server runs: engine, tools, engine again.

    round: the engine reads the prompt ──► text, calls ──► its end
             ▲                                              │ calls of tools of the server
             └── prompt and all that was said ◄── results ◄─┘ and of none of the caller's

To whoever reads the events it is one answer of one engine. Each further round is admitted before it
begins, as it reads a prompt that nobody has reserved for; a round that is not ends the message with
`pause_turn`, and so does the last one allowed. The caller sends such a message back as it is.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import msgspec

from antiphon.core.ids import with_identifier
from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    NextRound,
    Prompt,
    ServerCallStart,
    ServerResult,
    Started,
    ToolCallStart,
    Turn,
)
from antiphon.core.server_tools.rounds import Round, ServerCall, next_round, results_turn
from antiphon.engines.base import Engine
from antiphon.wire.content import ContentParam

ROUNDS: Final = 10
"""The most rounds of one answer."""

BATCH_ROUNDS: Final = 40
"""The same of an answer in a batch, where nobody can send it back to go on."""


class ServerToolRunner(Protocol):
    """Runs one tool of the server, for the prompt that the model has read.

    What goes wrong is a result too.
    """

    async def run(self, call: ServerCall, prompt: Prompt) -> ServerResult: ...


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the loop of one answer needs beside its engine and its prompt.

    `runners` are the tools, by name. `admit` is asked for the prompt of each further round: it
    returns the reason to end instead, if there is one. `claimed` returns the beginning of such a
    round with what it reads of the prompt cache. `new_id` makes the id of a call,
    and `read` returns the turn of results as engines read it.
    """

    runners: Mapping[str, ServerToolRunner]
    admit: Callable[[Prompt], Awaitable[FinishReason | None]]
    claimed: Callable[[Started], Started]
    new_id: Callable[[], str]
    read: Callable[[Turn, Prompt], Awaitable[Turn]]
    most: int = ROUNDS


class ServerToolLoop:
    """The loop of one answer."""

    def __init__(self, engine: Engine, prompt: Prompt, rounds: Rounds) -> None:
        self._engine = engine
        self._prompt = prompt
        self._rounds = rounds
        self._spent = 0

    async def generate(self) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of the whole answer, as an engine does. Raises `EngineError`."""
        before: Finished | None = None
        for number in range(1, self._rounds.most + 1):
            said = Round()
            end: Finished | None = None
            self._spent = 0
            async with aclosing(self._engine.generate(self._prompt)) as events:
                async for event in events:
                    self._spent += event.tokens
                    if isinstance(event, Finished):
                        end = event
                    elif isinstance(event, Started):
                        yield event if before is None else self._next(event, before)
                    else:
                        yield self._taken(event, said)
            if end is None:
                # Whoever reads finds that the answer has no end.
                return
            blocks = said.end()
            runners, prompt = self._rounds.runners, self._prompt
            results = [await runners[call.name].run(call, prompt) for call in said.calls]
            for result in results:
                yield result
            reason = await self._reason_to_end(number, said, blocks, results, end)
            if reason is not None:
                yield end if reason is end.reason else msgspec.structs.replace(end, reason=reason)
                return
            before = end

    def _taken(self, event: EngineEvent, said: Round) -> EngineEvent:
        """Note an event of the engine, and return what it is to the reader."""
        if not isinstance(event, ToolCallStart) or event.name not in self._rounds.runners:
            said.add(event)
            return event
        call = with_identifier(self._rounds.new_id(), event.identifier)
        said.add(event, call)
        return ServerCallStart(call, event.name, event.tokens)

    def _next(self, started: Started, before: Finished) -> NextRound:
        return NextRound(self._rounds.claimed(started), before.tokens, before.prompt)

    async def _reason_to_end(
        self,
        number: int,
        said: Round,
        blocks: Sequence[ContentParam],
        results: Sequence[ServerResult],
        end: Finished,
    ) -> FinishReason | None:
        """Make the prompt of the next round, or return the reason why there is none."""
        if not results or said.calls_client or end.reason is not FinishReason.END_TURN:
            return end.reason
        if number == self._rounds.most:
            return FinishReason.PAUSE_TURN
        loads_tools = self._engine.capabilities.loads_tools
        found = [result.block for result in results]
        came = await self._rounds.read(results_turn(found, loads_tools=loads_tools), self._prompt)
        following = next_round(
            self._prompt, blocks, found, came, spent=self._spent, loads_tools=loads_tools
        )
        if following.max_tokens <= 0:
            return FinishReason.MAX_TOKENS
        self._prompt = following
        return await self._rounds.admit(following)
