"""The interface between Antiphon and the engines, which compute answers."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeGuard,
    TypeVar,
    get_args,
    runtime_checkable,
)

import msgspec

from antiphon.core.prompt import (
    Capabilities,
    Confirmation,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    PromptSize,
    RedactedThought,
    Refusal,
    Started,
    TextChunk,
    Thinking,
    ThinkingChunk,
    ThinkingSignature,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
    Turn,
)
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.wire.mistakes import explained

__all__ = [
    "CachingEngine",
    "CallFormat",
    "CallingEngine",
    "Capabilities",
    "CheckedOpener",
    "Confirmation",
    "Engine",
    "EngineConfig",
    "EngineError",
    "EngineErrorKind",
    "EngineEvent",
    "EngineStartError",
    "FinishReason",
    "Finished",
    "KeptSnapshot",
    "OpenEngine",
    "Prompt",
    "PromptSize",
    "RedactedThought",
    "Refusal",
    "ReportingEngine",
    "SnapshotReport",
    "Started",
    "TextChunk",
    "Thinking",
    "ThinkingChunk",
    "ThinkingSignature",
    "Tool",
    "ToolCallJson",
    "ToolCallStart",
    "ToolChoice",
    "Turn",
    "keeps_prefixes",
]


class EngineErrorKind(StrEnum):
    """The kind of a failure, as far as the answer to the caller depends on it."""

    UNSUPPORTED = "unsupported"  # this model cannot do what the prompt asks for
    OVERLOADED = "overloaded"  # not now, but the same request may pass later
    TIMEOUT = "timeout"  # the engine took too long
    FAILED = "failed"  # the engine broke while it worked on this request


class EngineError(Exception):
    """An engine could not answer.

    The message of `UNSUPPORTED` is for the caller of the API; every other message is for the
    operator and never reaches the wire. `retry_after_s` is the time after which the engine
    wants the next request, if it states one.
    """

    def __init__(
        self, kind: EngineErrorKind, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s


class EngineStartError(Exception):
    """An engine cannot be started as it is configured. The message is for the operator."""


class EngineConfig(msgspec.Struct, frozen=True):
    """The parameters that an engine is opened with.

    `weights` is the model's file, if the model has one here; `options` is the model's table in
    the settings, for the engine to decode; `state_dir` is a folder that the engine may use.
    `cache_minimum_tokens` are the tokens of the shortest prefix that is worth keeping. With
    `only_batches` no interactive requests will come, for which batches would have to make way.
    `number` is its place among the engines of the model, from 0 on.
    """

    model: str
    weights: Path | None = None
    options: Mapping[str, Any] = {}
    state_dir: Path | None = None
    cache_minimum_tokens: int = MINIMUM_TOKENS
    only_batches: bool = False
    number: int = 0


class Engine(Protocol):
    """One loaded model.

    `generate` yields `Started` first, exactly once, and `Finished` last, exactly once; closing it
    early cancels the work. `count_tokens` returns the number of tokens that `generate` would read
    for the same prompt: with `capabilities.counts_exactly`, the `input_tokens` of its `Started`.
    Both raise `EngineError`. `ready` is false while the engine cannot answer (a child that is
    restarting); a request made then waits or fails with `OVERLOADED`.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def ready(self) -> bool: ...

    def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]: ...

    async def count_tokens(self, prompt: Prompt) -> int: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class CachingEngine(Engine, Protocol):
    """An engine that keeps the prefixes of prompts: its `capabilities.keeps_prefixes` is true.

    `measure` returns the size of a prompt up to each of its breakpoints as well. The `Started` of
    a prompt with breakpoints is `confirmed`, with the same sizes.
    """

    async def measure(self, prompt: Prompt) -> PromptSize: ...


def keeps_prefixes(engine: Engine) -> TypeGuard[CachingEngine]:
    """Return whether an engine has a prompt cache of its own."""
    return engine.capabilities.keeps_prefixes


class KeptSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A prefix of a prompt that an engine has saved on the disk.

    `salt` stands for the workspace, `size` is in bytes, times are in seconds since 1970.
    """

    salt: str
    tokens: int
    size: int
    used_at: float
    ends_at: float


class SnapshotReport(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshots of an engine, and how often it had less of a prompt than it knew of.

    `limit_bytes` is what snapshots may take now: the setting, or less on a full disk. `mismatches`
    counts prompts, and `evictions` the snapshots that made room for others, since the start.
    """

    snapshots: tuple[KeptSnapshot, ...] = ()
    limit_bytes: int = 0
    mismatches: int = 0
    evictions: int = 0


@runtime_checkable
class ReportingEngine(Protocol):
    """An engine that tells of its snapshots; `None` if it can have none."""

    def snapshot_report(self) -> SnapshotReport | None: ...


class CallFormat(msgspec.Struct, frozen=True):
    """The format in which a model is asked to call tools: the `native` or the general one.

    `reason` says why it is the general one, which is the same for all models.
    """

    native: bool
    reason: str | None = None


@runtime_checkable
class CallingEngine(Protocol):
    """An engine that knows in which format its model is asked to call tools."""

    def call_format(self) -> CallFormat: ...


OpenEngine: TypeAlias = Callable[[EngineConfig], Awaitable[Engine]]
"""Opens an engine: the object that an entry point of `antiphon.engines` names."""


CheckConfig: TypeAlias = Callable[[EngineConfig], None]

Opened = TypeVar("Opened", bound=Engine)


class Examined(msgspec.Struct, frozen=True):
    """What an engine has found out about what it needs, as a sentence; `mend` if it lacks any."""

    text: str
    mend: str | None = None


ExamineConfig: TypeAlias = Callable[[EngineConfig], Awaitable[Examined]]


class Packages(msgspec.Struct, frozen=True):
    """The modules that an engine imports, and the extra of Antiphon with which they come."""

    extra: str
    modules: tuple[str, ...]


class CheckedOpener(msgspec.Struct, Generic[Opened], frozen=True):
    """Opens an engine, and can check its options before the files of the model are there.

    `check` gets the configuration without `weights` and raises `EngineStartError`. A server calls
    it before it fetches the files of any model. `antiphon doctor` calls `examine`, for an engine
    that asks a server: it raises `EngineStartError` for what keeps the engine from opening, and
    changes nothing. `packages` are those that not every server has.
    """

    open: Callable[[EngineConfig], Awaitable[Opened]]
    check: CheckConfig
    examine: ExamineConfig | None = None
    packages: Packages | None = None

    def __call__(self, config: EngineConfig) -> Awaitable[Opened]:
        return self.open(config)


def checked(
    check: CheckConfig,
    *,
    examine: ExamineConfig | None = None,
    packages: Packages | None = None,
) -> Callable[[Callable[[EngineConfig], Awaitable[Opened]]], CheckedOpener[Opened]]:
    """Decorate the function that opens an engine with the check of its options."""

    def decorate(function: Callable[[EngineConfig], Awaitable[Opened]]) -> CheckedOpener[Opened]:
        return CheckedOpener(function, check, examine, packages)

    return decorate


Options = TypeVar("Options", bound=msgspec.Struct)


def decode_options(model: str, options: Mapping[str, Any], kind: type[Options]) -> Options:
    """Decode a model's options. Raises `EngineStartError`, which names the wrong option."""
    try:
        return msgspec.convert(dict(options), kind)
    except msgspec.ValidationError as error:
        path, fault = explained(error, kind)
        where = f"the option `{path}` is wrong: " if path else ""
        fault = fault[:1].lower() + fault[1:]
        raise EngineStartError(f"Model `{model}`: {where}{fault}.") from error


Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]

EFFORTS: Final[tuple[str, ...]] = get_args(Effort)


def nearest(effort: str, levels: Sequence[str]) -> str:
    """Return the level nearest to `effort`; of two equally near, the lower one."""
    wanted = EFFORTS.index(effort)
    return min(levels, key=lambda level: abs(EFFORTS.index(level) - wanted))
