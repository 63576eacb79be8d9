"""An engine that answers by a script, deterministically, at a set speed.

For tests, benchmarks and users' CI: everything around it is the real server.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Annotated, Any, TypeAlias
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Meta

from antiphon.core.blocks import inner_blocks
from antiphon.core.late_tools import NAMED
from antiphon.core.parking import Parking
from antiphon.core.prompt import (
    Confirmation,
    PromptSize,
    TextChunk,
    ThinkingChunk,
    ToolCallJson,
    ToolCallStart,
    Turn,
)
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.base import (
    Capabilities,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    EngineStartError,
    Finished,
    FinishReason,
    Prompt,
    Refusal,
    Started,
    checked,
)
from antiphon.engines.parkable import ParkableWork, StoppedError
from antiphon.engines.scripted_prompt import (
    LONG_TEXT,
    CountedPrompt,
    KeptPrefixes,
    count_prompt,
    tokens,
)
from antiphon.engines.step_runner import StepRunner
from antiphon.schemas.check import fits
from antiphon.schemas.example import example
from antiphon.schemas.steps import TooComplexError, Work
from antiphon.wire.content import BlockParam, TextParam, ToolReferenceParam, ToolResultParam
from antiphon.wire.mistakes import explained

DEFAULT_TEXT = "I am the scripted engine of Antiphon: I say what I am told."
# A stream at full speed yields the event loop after so many events.
BREATH = 64

Amount: TypeAlias = Annotated[float, Meta(ge=0)]


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A call of a tool, and its input."""

    name: Annotated[str, Meta(min_length=1)]
    input: dict[str, Any] = {}


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to prompts whose last user turn matches `when`, a regular expression.

    It is searched in the text of the turn, and in that of each result of a tool in it; a result of
    a search of tools reads `Tool: NAME` for each that was found.
    `thinking` comes before the text, if the caller enables it, and `tool_calls` behind it, if
    their tools are in the request. A required call, or a required JSON, that the script does not
    have is made from its schema.

    `error` fails the request instead, after `after` tokens of `text`. `delay_s` passes before the
    first token, as with a long prompt.
    """

    when: str = ""
    text: str = DEFAULT_TEXT
    echo: bool = False
    thinking: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    error: EngineErrorKind | None = None
    after: Annotated[int, Meta(ge=0)] = 0
    delay_s: Amount = 0.0


class ScriptedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a model on this engine.

    The first of `replies` that matches answers, else `text` does. Speeds are in tokens per
    second, 0 is unlimited; tokens that are reused are not read again. With `images` the model takes
    images, counts each as the Claude API does, and ignores their content. `kept_prefixes` is the
    number of prefixes up to a breakpoint that it keeps; 0 is an engine without a prompt cache. With
    `computes_here` batches run only while no other request does, as on an engine with a model; work
    of batches that has to make way goes on later if it `parks`, and begins again otherwise.
    """

    text: str = DEFAULT_TEXT
    echo: bool = False
    replies: tuple[ScriptedReply, ...] = ()
    tokens_per_second: Amount = 0.0
    prefill_tokens_per_second: Amount = 0.0
    context_tokens: Annotated[int, Meta(ge=1)] = 200_000
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    images: bool = False
    kept_prefixes: Annotated[int, Meta(ge=0, le=1_000_000)] = 4096
    computes_here: bool = False
    parks: bool = True


class ChosenReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one prompt, from a program that is asked for it.

    It is said as it is: `tool_choice` and the schema of the request change nothing. With a
    `failure` that is raised at the end of `text`. `tokens_per_second` takes the place of the
    option; `reason` and `refusal` are those of an end by itself.
    """

    reply: ScriptedReply
    failure: Exception | None = None
    tokens_per_second: float | None = None
    reason: FinishReason = FinishReason.END_TURN
    refusal: Refusal | None = None


class ScriptedEngine:
    """A whole `Engine` without a model.

    `choose` is asked once for the answer to each prompt; `None` leaves it to the options.
    """

    def __init__(
        self,
        options: ScriptedOptions,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        cache_minimum_tokens: int = MINIMUM_TOKENS,
        choose: Callable[[Prompt], ChosenReply | None] = lambda _: None,
    ) -> None:
        self._options = options
        self._choose = choose
        self._sleep = sleep
        self._runner = StepRunner()
        self._counting = StepRunner()
        self._rules = [(re.compile(reply.when, re.DOTALL), reply) for reply in options.replies]
        self._default = ScriptedReply(text=options.text, echo=options.echo)
        # What the script says is cut into tokens once.
        replies = (*options.replies, self._default)
        self._cut = {reply.text: chunks(reply.text) for reply in replies}
        self._thoughts = {reply.thinking: tokens(reply.thinking) for reply in replies}
        self.capabilities = Capabilities(
            context_tokens=options.context_tokens,
            max_output_tokens=options.max_output_tokens,
            tools=True,
            forced_tools=True,
            structured_outputs=True,
            thinking=True,
            images=options.images,
            keeps_prefixes=options.kept_prefixes > 0,
            loads_tools=True,
            computes_here=options.computes_here,
        )
        self.ready = True
        self._kept = KeptPrefixes(options.kept_prefixes, cache_minimum_tokens)
        # A prompt is counted before it is answered, and its count is needed again then.
        self._counts: WeakKeyDictionary[Prompt, CountedPrompt] = WeakKeyDictionary()

    async def count_tokens(self, prompt: Prompt) -> int:
        return (await self._counted(prompt)).size.tokens

    async def measure(self, prompt: Prompt) -> PromptSize:
        return (await self._counted(prompt)).size

    async def _counted(self, prompt: Prompt) -> CountedPrompt:
        read = self._counts.get(prompt)
        if read is None:
            read = self._counts[prompt] = await self._counting.run(partial(count_prompt, prompt))
        return read

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        parking = prompt.parking if self._options.parks else None
        sleep = self._sleep if parking is None else _Parkable(parking, self._sleep).sleep
        counted = await self._counted(prompt)
        read = counted.size.tokens
        chosen = self._choose(prompt)
        reply, script = await self._runner.run(
            partial(self._script, prompt, chosen), brief=read <= LONG_TEXT
        )
        chosen = chosen or ChosenReply(reply=reply, failure=_failure(reply))
        confirmed = self._confirmed(counted)
        yield Started(input_tokens=read, confirmed=confirmed)
        unread = read - (confirmed.reused if confirmed else 0)
        delay_s = reply.delay_s + _seconds(unread, self._options.prefill_tokens_per_second)
        if delay_s:
            await sleep(delay_s)
        if confirmed and (chosen.failure is None or reply.after):
            self._kept.keep(counted)
        room = self.capabilities.context_tokens - read
        limit = max(0, min(prompt.max_tokens, room))
        full = FinishReason.CONTEXT_WINDOW if room < prompt.max_tokens else FinishReason.MAX_TOKENS
        speed = chosen.tokens_per_second
        pause = _seconds(1, self._options.tokens_per_second if speed is None else speed)
        # An answer that is full before its error has none.
        fails = chosen.failure is not None and reply.after <= limit
        script = islice(script, reply.after if fails else limit)
        sent = 0
        while few := tuple(islice(script, 1 if pause else BREATH)):
            if pause:
                await sleep(pause)
            for event in few:
                yield event
            sent += len(few)
            if len(few) == BREATH:
                await sleep(0)
        if chosen.failure is not None and (fails or sent < limit):
            raise chosen.failure
        # The token that ends a turn needs room as every other does.
        ends = sent < limit
        if parking is not None:
            parking.watch(None)
        yield Finished(chosen.reason, 1, chosen.refusal) if ends else Finished(full)

    async def aclose(self) -> None:
        self.ready = False

    def _confirmed(self, counted: CountedPrompt) -> Confirmation | None:
        """Return what is reused of a prompt with breakpoints, and what will be kept of it."""
        if not counted.marked or not self.capabilities.keeps_prefixes:
            return None
        stored = frozenset(end.tokens for end in self._kept.worth_keeping(counted))
        return Confirmation(self._kept.reused(counted), stored, counted.size.breakpoints)

    def _reply_to(self, said: list[str]) -> ScriptedReply:
        for pattern, reply in self._rules:
            if any(pattern.search(text) for text in said):
                return reply
        return self._default

    def _script(
        self, prompt: Prompt, chosen: ChosenReply | None, work: Work
    ) -> tuple[ScriptedReply, Iterator[EngineEvent]]:
        turn = _last_user_turn(prompt)
        question = "".join(turn.texts)
        reply = chosen.reply if chosen else self._reply_to([question, *_results(turn)])
        text = question if reply.echo else reply.text
        last = prompt.turns[-1]
        if last.role == "assistant":
            # A prefill is continued, not repeated.
            text = text.removeprefix("".join(last.texts))
        calls = reply.tool_calls
        if chosen is None:
            text, calls = reply_as_required(prompt, text, calls, work)
        thinks = prompt.thinking.mode != "disabled"
        thought = self._thoughts.get(reply.thinking) or tokens(reply.thinking)
        thought = thought[: prompt.thinking.budget] if thinks else ()
        pieces = self._cut.get(text) or chunks(text)
        return reply, events_of(thought, pieces, calls)


def _failure(reply: ScriptedReply) -> EngineError | None:
    return None if reply.error is None else EngineError(reply.error, "the script says so")


def _last_user_turn(prompt: Prompt) -> Turn:
    """Return the last user turn; an empty one if there is none."""
    users = (turn for turn in reversed(prompt.turns) if turn.role == "user")
    return next(users, Turn("user", ()))


def _results(turn: Turn) -> Iterator[str]:
    """Yield the text of each result of a tool in a turn; of a tool that was found, its name."""
    for block in turn.content:
        if isinstance(block, ToolResultParam):
            yield "".join(map(_said, inner_blocks(block)))


def _said(block: BlockParam) -> str:
    match block:
        case TextParam(text=text):
            return text
        case ToolReferenceParam(tool_name=name):
            return NAMED.format(name=name)
    return ""


class _Parkable:
    """Sleeps that stand for work which can be parked. What was slept of a stopped one is lost."""

    def __init__(self, parking: Parking, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._work = ParkableWork(parking)
        self._sleep = sleep

    async def sleep(self, seconds: float) -> None:
        while True:
            try:
                await self._work.step(partial(self._sleep, seconds))
            except StoppedError:
                await self._work.park()
            else:
                return


def _seconds(amount: int, per_second: float) -> float:
    return amount / per_second if per_second else 0.0


def check_scripted(config: EngineConfig) -> None:
    """Check the script. Raises `EngineStartError`."""
    _scripted(config)


@checked(check_scripted)
async def open_scripted(config: EngineConfig) -> ScriptedEngine:
    """Open the engine; raises `EngineStartError` for options that it does not know."""
    return _scripted(config)


def _scripted(config: EngineConfig) -> ScriptedEngine:
    try:
        options = msgspec.convert(dict(config.options), ScriptedOptions, strict=False)
        return ScriptedEngine(options, cache_minimum_tokens=config.cache_minimum_tokens)
    except msgspec.ValidationError as error:
        path, fault = explained(error, ScriptedOptions)
        where = f"{path}: " if path else ""
        raise EngineStartError(f"model {config.model}: {where}{fault}") from error
    except re.error as error:
        raise EngineStartError(f"model {config.model}: {error}") from error


def reply_as_required(
    prompt: Prompt, text: str, calls: tuple[ScriptedCall, ...], work: Work
) -> tuple[str, tuple[ScriptedCall, ...]]:
    """Return the text and the calls of a reply, made to fit `tool_choice` and the schema."""
    tools = prompt.callable_tools
    if not tools and prompt.output_schema is None:
        return text, ()
    choice = prompt.tool_choice
    known = {tool.name: tool for tool in tools}
    if choice.mode == "none":
        calls = ()
    calls = tuple(call for call in calls if call.name in known)
    if choice.mode in ("any", "tool") and known:
        calls = tuple(call for call in calls if choice.name in (None, call.name))
        tool = known.get(choice.name or "") or tools[0]
        where = f"{prompt.tool_paths((tool,))[0]}.input_schema"
        made = ScriptedCall(name=tool.name, input=_example(tool.input_schema, where, work) or {})
        text, calls = "", calls or (made,)
    if not choice.parallel or choice.mode == "tool":
        calls = calls[:1]
    schema = prompt.output_schema
    if schema is not None and not calls and not _is_of(text, schema, work):
        text = msgspec.json.encode(_example(schema, "output_config.format.schema", work)).decode()
    return text, calls


def _is_of(text: str, schema: dict[str, Any], work: Work) -> bool:
    """Return whether a text is JSON that fits a schema."""
    try:
        return fits(msgspec.json.decode(text), schema, work.budget())
    except (msgspec.DecodeError, TooComplexError):
        return False


def _example(schema: dict[str, Any], where: str, work: Work) -> Any:
    try:
        return example(schema, work.budget())
    except TooComplexError as error:
        raise EngineError(
            EngineErrorKind.UNSUPPORTED, f"{where}: Schema is too complex for an example."
        ) from error


def chunks(text: str) -> tuple[TextChunk, ...]:
    """Cut a text into the events of its tokens."""
    return tuple([TextChunk(token, 1) for token in tokens(text)])


def events_of(
    thought: tuple[str, ...], text: tuple[TextChunk, ...], calls: tuple[ScriptedCall, ...]
) -> Iterator[EngineEvent]:
    """Return the events of an answer, one for each token."""
    thinking = [ThinkingChunk(piece, 1) for piece in thought]
    return chain(thinking, text, *map(_call_events, calls))


def _call_events(call: ScriptedCall) -> Iterator[EngineEvent]:
    yield ToolCallStart(call.name, 1)
    text = msgspec.json.encode(call.input).decode()
    for start in range(0, len(text), 12):
        yield ToolCallJson(text[start : start + 12], 1)
