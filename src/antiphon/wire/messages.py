"""Requests and answers of `/v1/messages` and `/v1/messages/count_tokens`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from antiphon.wire.base import AnswerStruct, CacheControlParam, NonEmptyStr, Param, error_text
from antiphon.wire.content import ContentBlock, ContentParam
from antiphon.wire.tools import ToolChoiceParam, ToolParam

StopReason: TypeAlias = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
]
Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]

SHAPE = "Input does not match the expected shape."
# The parameters that `2026-10-21` no longer has; see `BodyDecoder`.
SAMPLING = ("temperature", "top_k", "top_p")


class TurnOutputParam(Param, kw_only=True, frozen=True):
    """Options of a system message for the turns that follow it. Ignored."""

    effort: Effort | None = None


class MessageParam(Param, kw_only=True, frozen=True):
    """One message of a conversation. `content` as a string is one text block.

    `clear_at` and `output_config` stand on system messages only; the latter is ignored. The model
    reads a message that is cleared at the `next_user_message` only until there is one.
    """

    role: Annotated[
        Literal["user", "assistant", "system"],
        error_text(field='Unexpected role "{value}". Allowed roles are "user" or "assistant"'),
    ]
    content: str | list[ContentParam]
    clear_at: Literal["next_user_message", "never"] | None = None
    output_config: TurnOutputParam | None = None


class MetadataParam(Param, kw_only=True, frozen=True):
    """Facts about the request that have no influence on the answer."""

    user_id: Annotated[str, Meta(max_length=512)] | None = None


class ThinkingParamBase(Param, tag_field="type", kw_only=True, frozen=True):
    """The base of the thinking parameters."""


Display: TypeAlias = Literal["summarized", "omitted", "updates"]


class EnabledThinking(ThinkingParamBase, tag="enabled", kw_only=True, frozen=True):
    """Think, with at most `budget_tokens`."""

    budget_tokens: Annotated[int, Meta(ge=1024)]
    display: Display | None = None


class AdaptiveThinking(ThinkingParamBase, tag="adaptive", kw_only=True, frozen=True):
    """Think as much as the question needs."""

    display: Display | None = None


class DisabledThinking(ThinkingParamBase, tag="disabled", kw_only=True, frozen=True):
    """Do not think."""


class BetweenToolsThinking(ThinkingParamBase, tag="between_tools", kw_only=True, frozen=True):
    """Think only between the calls of tools. No model here can."""


ThinkingConfigParam: TypeAlias = (
    EnabledThinking | AdaptiveThinking | DisabledThinking | BetweenToolsThinking
)


class FormatParam(Param, kw_only=True, frozen=True):
    """The schema of an answer in JSON."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfigParam(Param, kw_only=True, frozen=True):
    """Options of the answer."""

    effort: Effort | None = None
    format: FormatParam | None = None


class SkillParam(Param, kw_only=True, frozen=True):
    """A skill of a container."""

    type: Literal["anthropic", "custom"]
    skill_id: NonEmptyStr
    version: str | None = None


class ContainerParams(Param, kw_only=True, frozen=True):
    """A container for code. This server has none."""

    id: str | None = None
    skills: Annotated[list[SkillParam], Meta(max_length=8)] | None = None


class DiagnosticsParam(Param, kw_only=True, frozen=True):
    """A question for the reason of a miss of the prompt cache."""

    previous_message_id: str | None = None


# Which blocks a system prompt may hold is a rule of `core.validation`. The API takes text alone
# there, so its paths do not name the type.
SystemParam: TypeAlias = str | list[Annotated[ContentParam, error_text(mismatch=SHAPE, branch="")]]
MessagesParam: TypeAlias = Annotated[
    list[MessageParam],
    Meta(min_length=1, max_length=100_000, extra={"few": "at least one message is required"}),
]
StopSequence: TypeAlias = Annotated[
    str,
    Meta(pattern=r"\S", extra={"field": "each stop sequence must contain non-whitespace"}),
]
# The reference states no limit; this one is a guess.
StopSequences: TypeAlias = Annotated[list[StopSequence], Meta(max_length=8191)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1, extra={"range": "range: 0..1"})]


OutputConfig: TypeAlias = Annotated[OutputConfigParam, error_text(mismatch=SHAPE)]
Container: TypeAlias = Annotated[
    str | ContainerParams, error_text(mismatch=SHAPE, branch="ContainerParams")
]
Geo: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^(global|us)\Z", extra={"pattern": "must be one of ['global', 'us']"}),
]
Speed: TypeAlias = Literal["standard", "fast"]
ServiceTier: TypeAlias = Literal["standard", "batch"]


class CountTokensParams(Param, kw_only=True, frozen=True):
    """The body of `POST /v1/messages/count_tokens`: the parameters that make a prompt.

    `output_format` is `output_config.format` as older clients send it.
    """

    model: NonEmptyStr
    tool_choice: ToolChoiceParam | UnsetType = UNSET
    tools: list[ToolParam] | UnsetType = UNSET
    messages: MessagesParam
    system: SystemParam | UnsetType = UNSET
    thinking: ThinkingConfigParam | UnsetType = UNSET
    output_config: OutputConfig | UnsetType = UNSET
    output_format: FormatParam | None = None
    cache_control: CacheControlParam | None = None
    speed: Speed | None = None
    context_management: dict[str, Any] | None = None


class CreateMessageParams(CountTokensParams, kw_only=True, frozen=True):
    """The body of `POST /v1/messages`: a prompt, and how the answer is made.

    `context_management` and `safeguards` are accepted because Claude Code sends them, and ignored.
    `thread` is decoded only to be refused with a code that the SDK understands.
    """

    reported_after: ClassVar[Mapping[str, str]] = {
        "speed": "inference_geo",
        "context_management": "diagnostics",
    }

    max_tokens: Annotated[int, Meta(ge=0, extra={"range": "must be greater than or equal to 0"})]
    metadata: Annotated[MetadataParam, error_text(mismatch=SHAPE)] | None = None
    stop_sequences: StopSequences | None = None
    temperature: Fraction | UnsetType = UNSET
    service_tier: Literal["auto", "standard_only"] | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    top_p: Fraction | UnsetType = UNSET
    stream: bool = False
    container: Container | None = None
    inference_geo: Geo | None = None
    diagnostics: DiagnosticsParam | None = None
    safeguards: list[dict[str, Any]] | None = None
    thread: dict[str, Any] | None = None


class CacheCreation(AnswerStruct, kw_only=True, frozen=True):
    """Tokens written to the prompt cache, by lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputTokensDetails(AnswerStruct, kw_only=True, frozen=True):
    """The part of `output_tokens` that was thinking."""

    thinking_tokens: int = 0


class RefusalDetails(AnswerStruct, kw_only=True, frozen=True):
    """The reason of a refusal, as far as the server of the model states it."""

    type: Literal["refusal"] = "refusal"
    category: str | None = None
    explanation: str | None = None


class ServerToolUsage(AnswerStruct, kw_only=True, frozen=True):
    """How often tools of the server ran that are counted apart; searches of tools are not."""

    web_search_requests: int = 0
    web_fetch_requests: int = 0


class Usage(AnswerStruct, kw_only=True, frozen=True):
    """The tokens of a request.

    The prompt is `input_tokens + cache_creation_input_tokens + cache_read_input_tokens`.
    """

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation = CacheCreation()
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    server_tool_use: ServerToolUsage | None = None
    service_tier: ServiceTier = "standard"
    inference_geo: Literal["not_available"] = "not_available"


CacheMissType: TypeAlias = Literal[
    "model_changed",
    "tools_changed",
    "system_changed",
    "messages_changed",
    "previous_message_not_found",
    "unavailable",
]


class CacheMissReason(AnswerStruct, kw_only=True, frozen=True):
    """Why a prompt is not read from the cache as far as an earlier one reached.

    Only the reasons that are changes have an estimate of the tokens behind the change.
    """

    type: CacheMissType
    cache_missed_input_tokens: int | UnsetType = UNSET


class Diagnostics(AnswerStruct, kw_only=True, frozen=True):
    """What `diagnostics` of the request asked for. A reason of `null` says: not known yet."""

    cache_miss_reason: CacheMissReason | None


class Message(AnswerStruct, kw_only=True, frozen=True):
    """An answer. While it streams `content` is empty and `stop_reason` null."""

    model: str
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: tuple[ContentBlock, ...]
    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: RefusalDetails | None = None
    usage: Usage
    container: None = None
    diagnostics: Diagnostics | None = None


class TokenCount(AnswerStruct, kw_only=True, frozen=True):
    """The number of tokens of a prompt."""

    input_tokens: int
