"""Prompts and the events of answers, in the vocabulary that every engine shares.

Some are made for every token, so they are msgspec structs: a tenth of a dataclass's cost.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

import msgspec

from antiphon.core.billing.pricing import CacheTtl
from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.images import MEDIA_TYPES
from antiphon.core.parking import Parking
from antiphon.core.server_tools.domains import Domains
from antiphon.core.server_tools.url_filters import UrlSourceFilter
from antiphon.wire.content import ContentParam, TextParam
from antiphon.wire.server_blocks import ServerResultBlock
from antiphon.wire.tools import UserLocation

Role: TypeAlias = Literal["user", "assistant", "system"]


class Turn(msgspec.Struct, frozen=True):
    """The blocks of one role, up to the next role; same-role messages are already merged."""

    role: Role
    content: tuple[ContentParam, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The text blocks' texts."""
        return tuple([block.text for block in self.content if isinstance(block, TextParam)])


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call. `strict` inputs always fit the schema.

    A `deferred` tool is not described before all turns, but where a block of the conversation loads
    it, if one does (see `core.late_tools`).
    """

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool = False
    input_examples: tuple[dict[str, Any], ...] = ()
    eager_input_streaming: bool = False
    deferred: bool = False


ServerToolKind: TypeAlias = Literal[
    "tool_search_tool_regex", "tool_search_tool_bm25", "web_search", "web_fetch"
]


TOOL_SEARCHES: Final[frozenset[ServerToolKind]] = frozenset(
    {"tool_search_tool_regex", "tool_search_tool_bm25"}
)
"""The kinds that find deferred tools."""


class ServerTool(Tool, frozen=True, kw_only=True):
    """A tool that this server runs itself. To an engine it is a tool like any other."""

    kind: ServerToolKind


class WebSearchTool(ServerTool, frozen=True, kw_only=True):
    """A search of the web, with what the caller says of it."""

    domains: Domains = Domains()
    max_uses: int | None = None
    location: UserLocation | None = None


class WebFetchTool(ServerTool, frozen=True, kw_only=True):
    """A fetch of a page, with what the caller says of it. `cited`: its documents may be cited."""

    domains: Domains = Domains()
    max_uses: int | None = None
    max_content_tokens: int | None = None
    cited: bool = False
    sources: UrlSourceFilter = UrlSourceFilter()


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which tools the model must call: `any` of them, the one of `name`, or none at all.

    Without `parallel` there is at most one call; with `any` and `tool`, exactly one.
    """

    mode: Literal["auto", "any", "tool", "none"] = "auto"
    name: str | None = None
    parallel: bool = True


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """The thinking that the model is allowed: at most `budget` tokens, if there is a budget."""

    mode: Literal["disabled", "enabled", "adaptive"] = "disabled"
    budget: int | None = None


class Breakpoint(msgspec.Struct, frozen=True):
    """A breakpoint of the prompt cache: the end of a prefix that may be cached, and its lifetime.

    The prefix is all of the prompt up to and including one block, or one tool. `turn` is the index
    of the block's turn, `None` for a tool. `path` leads to the block: its index in the turn (the
    tool's in `Prompt.tools`), then, for a block inside of another one, its index among the other
    one's `core.blocks.inner_blocks`, and so on. `number` counts the breakpoints of the request: it
    stays when blocks are rewritten, which may remove breakpoints.
    """

    turn: int | None
    path: tuple[int, ...]
    ttl: CacheTtl = "5m"
    number: int = 0


class Prompt(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """One request to a model.

    `turns` stand in the order in which the caller sent them; a system prompt is the first turn.
    A last turn of the assistant is a prefill: the model goes on where it ends. `None` leaves a
    sampling parameter to the engine; so does `any_temperature`, as the request names none. Prompts
    compare by identity, so that an engine can keep what it computed for one (its tokens, say) for
    exactly as long as the prompt lives.
    """

    turns: tuple[Turn, ...]
    max_tokens: int
    temperature: float = 1.0
    any_temperature: bool = False
    top_p: float | None = None
    top_k: int | None = None
    tools: tuple[Tool, ...] = ()
    offered: tuple[Tool, ...] | None = None
    """The tools on offer at the end of the conversation; `None`: those that are not deferred."""
    searchable: tuple[Tool, ...] = ()
    """The tools that a search of this server may find."""
    sealed: bool = False
    """Whether the results of a web search are in it, which are yet to be opened."""
    tool_choice: ToolChoice = ToolChoice()
    output_schema: dict[str, Any] | None = None
    thinking: Thinking = Thinking()
    effort: str | None = None
    pdf_paths: tuple[str, ...] = ()
    """The paths of the PDFs of `turns` in the request, in their order, for error messages."""
    breakpoints: tuple[Breakpoint, ...] = ()
    """In the order of the prompt: tools, then turns. `core.blocks` moves them with their blocks."""
    cache_salt: str = ""
    """Stands for the caller's workspace: prompts of different salts never share a prefix."""
    hints: Hints = NO_HINTS
    """What the client says about the request; an engine may follow it or not."""
    parking: Parking | None = None
    """Whether the work can stop for others and go on later; an engine may use it or not."""

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that the model may call."""
        if self.offered is not None:
            return self.offered
        return tuple(tool for tool in self.tools if not tool.deferred) if self.tools else ()

    def tool_paths(self, tools: Iterable[Tool]) -> tuple[str, ...]:
        """Return the paths of tools in the request, for errors: `tools.2.custom`.

        One that a message defines has the name in its path: `tool_addition.get_weather`.
        """
        declared = {id(tool): f"tools.{index}.custom" for index, tool in enumerate(self.tools)}
        return tuple(declared.get(id(tool), f"tool_addition.{tool.name}") for tool in tools)


class PromptSize(msgspec.Struct, frozen=True):
    """The tokens of a prompt as its engine renders it, and those up to each breakpoint.

    The breakpoints are those of the request, by their numbers. One that is not in the rendered
    prompt has 0, which may be left out at the end.
    """

    tokens: int
    breakpoints: tuple[int, ...] = ()


class Confirmation(msgspec.Struct, frozen=True):
    """What an engine did with a prompt that has breakpoints.

    `reused` is the number of tokens at its beginning that it did not compute again. `stored` are
    the lengths, in tokens, of the prefixes that it keeps for later requests. `breakpoints` are the
    tokens up to each breakpoint, as in `PromptSize`. `restored`: what was reused came from a disk.
    `stays` are the tokens before the first thought that was in earlier prompts and is in this one
    no more, because the model's template shows thoughts up to the next question only; 0 if there
    is none.
    """

    reused: int
    stored: frozenset[int] = frozenset()
    breakpoints: tuple[int, ...] = ()
    restored: bool = False
    stays: int = 0


class Started(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The size of the prompt. Every answer begins with it.

    `input_tokens` is the whole prompt, its cached parts included (on the wire they are left out).
    The other fields count those of these tokens that were read from a prompt cache, and those
    written to one, by the lifetime of the entry. `Finished` may correct all of them.

    An engine that keeps prefixes itself states none of these, but what it did (`confirmed`): what
    was read and written in the terms of the prompt cache follows from its rules.

    `engine` is the place of the engine among several of a model, from 1 on; 0 where there is one.
    """

    input_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    tokens: int = 0
    confirmed: Confirmation | None = None
    engine: int = 0


class TextChunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer: whole characters, and the tokens that they cost."""

    text: str
    tokens: int


class ThinkingChunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of the thinking before an answer: whole characters, and the tokens that they cost."""

    text: str
    tokens: int


class ThinkingSignature(msgspec.Struct, frozen=True, gc=False):
    """The end of a thinking block, and the proof by which its engine recognizes it."""

    proof: str
    tokens: int = 0


class RedactedThought(msgspec.Struct, frozen=True, gc=False):
    """A whole thinking block that only its engine can read."""

    proof: str
    tokens: int = 0


class ToolCallStart(msgspec.Struct, frozen=True, gc=False):
    """The model calls a tool. Its input follows in `ToolCallJson`, up to any other event.

    `identifier` is what the model itself has written as that of the call, letters and digits.
    """

    name: str
    tokens: int
    identifier: str = ""


class ToolCallJson(msgspec.Struct, frozen=True, gc=False):
    """A piece of the input of the call that was started last: JSON text, cut anywhere."""

    text: str
    tokens: int


class ServerCallStart(msgspec.Struct, frozen=True, gc=False):
    """The model calls a tool that this server runs. Its input follows as that of any call.

    Engines know nothing of it: it takes the place of their `ToolCallStart`. The `id` is the whole
    one.
    """

    id: str
    name: str
    tokens: int


class ServerResult(msgspec.Struct, frozen=True, gc=False):
    """What came of a call of a tool that this server runs, and how often it counts in the usage."""

    block: ServerResultBlock
    searches: int = 0
    fetches: int = 0
    tokens: int = 0


class NextRound(msgspec.Struct, frozen=True, gc=False):
    """The model goes on after results, and reads a prompt again: its size, as of a `Started`.

    `tokens` are those of the answer so far that no chunk has accounted for. `before` is the size of
    the prompt of the round before where it is known only now.
    """

    started: Started
    tokens: int = 0
    before: Started | None = None


class FinishReason(StrEnum):
    """Why the model stopped by itself, or why the server lets it pause."""

    END_TURN = "end_turn"
    PAUSE_TURN = "pause_turn"
    MAX_TOKENS = "max_tokens"
    CONTEXT_WINDOW = "model_context_window_exceeded"
    REFUSAL = "refusal"


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """The reason of a refusal, as far as the engine states it."""

    category: str | None = None
    explanation: str | None = None


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The end of an answer, and the tokens no chunk has accounted for (an end token, say).

    `tokens` is negative where the answer had more chunks than tokens, so that the sum is true.
    `refusal` has details if `reason` is `REFUSAL`. `prompt` is the size of the prompt where it is
    known only now: it replaces that of the `Started` before.
    """

    reason: FinishReason
    tokens: int = 0
    refusal: Refusal | None = None
    prompt: Started | None = None


EngineEvent: TypeAlias = (
    Started
    | TextChunk
    | ThinkingChunk
    | ThinkingSignature
    | RedactedThought
    | ToolCallStart
    | ToolCallJson
    | ServerCallStart
    | ServerResult
    | NextRound
    | Finished
)


class Capabilities(msgspec.Struct, frozen=True):
    """The capabilities of a model. Validation refuses the rest before the engine is called.

    `context_tokens` is the largest sum of prompt and answer. `max_output_tokens` is the largest
    answer that may be asked for; `None` takes any number, and the context ends the answer.
    `forced_tools`: `any`, `tool` and strict tools are guaranteed, not hoped for. `efforts` are the
    levels of `effort` that make a difference, the lowest first; another means the nearest of them.
    `image_types` are the media types of the images that a model with `images` reads, `image_pixels`
    the most pixels of one that it looks at, if that is known. `url_sources` and `file_sources` are
    capabilities of the server: it puts in what is behind URLs and in files before it calls the
    engine. `counts_exactly`:
    `count_tokens` returns the same size as the `Started` of the answer. Without it counting costs
    a request of its own or may differ, and only the answer has the true size. `cache_ttls` are the
    lifetimes of the prompt-cache entries that an answer may write. `keeps_prefixes`: the engine
    has a prompt cache of its own behind its breakpoints, and is a `CachingEngine`. `loads_tools`:
    deferred tools stay out of the prompt until they are loaded; without it the engine gets all
    tools at once. `computes_here`: the model is computed on this machine, so that any two of its
    requests slow each other down. `web_search` is a capability of the server too.
    """

    context_tokens: int
    max_output_tokens: int | None = None
    tools: bool = False
    forced_tools: bool = False
    structured_outputs: bool = False
    thinking: bool = False
    efforts: tuple[str, ...] = ()
    images: bool = False
    counts_exactly: bool = True
    cache_ttls: tuple[CacheTtl, ...] = ()
    keeps_prefixes: bool = False
    image_types: frozenset[str] = MEDIA_TYPES
    image_pixels: int | None = None
    url_sources: bool = False
    file_sources: bool = False
    loads_tools: bool = False
    computes_here: bool = False
    web_search: bool = False
