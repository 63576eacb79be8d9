"""What the types of the TypeScript SDK are called, and where they say more than this server does.

The names of what both SDKs have are those of the official one, so that moving is one import.
"""

from collections.abc import Mapping
from typing import Final

SKIPPED_PATHS: Final = ("/v1/console", "/console", "/api/", "/health", "/ready", "/openapi.json")
"""What is for browsers and for whoever watches the server."""

TOLD_ELSEWHERE: Final = frozenset(
    {"Listing", "TokenListing", "BatchPage", "FilePage", "ModelPage", "UploadParams", "NoParams"}
)
"""Pages and forms, which the SDK handles itself."""

WHOLE: Final = ""
"""The first step of a place that is not below the schemas."""

UNIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "ContentBlock": ("Message", "properties", "content", "items"),
    "ContentBlockParam": ("MessageParam", "properties", "content", "anyOf", "1", "items"),
    "ToolResultContentParam": (
        "ToolResultParam",
        "properties",
        "content",
        "anyOf",
        "1",
        "items",
    ),
    "StartedBlock": ("ContentBlockStart", "properties", "content_block"),
    "ContentBlockDelta": ("ContentBlockDelta", "properties", "delta"),
    "TextCitation": ("TextBlock", "properties", "citations", "items"),
    "TextCitationParam": ("TextParam", "properties", "citations", "anyOf", "0", "items"),
    "ToolChoice": ("CreateMessageParams", "properties", "tool_choice"),
    "ToolUnion": ("CreateMessageParams", "properties", "tools", "items"),
    "ThinkingConfigParam": ("CreateMessageParams", "properties", "thinking"),
    "MessageStreamEvent": (
        WHOLE,
        "paths",
        "/v1/messages",
        "post",
        "responses",
        "200",
        "content",
        "text/event-stream",
        "schema",
    ),
    "MessageBatchResult": ("ResultLine", "properties", "result"),
}
"""The unions that have names, each with a place where the description has its members."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "StopReason": ("Message", "properties", "stop_reason", "anyOf", "0"),
}
"""The sets of words that have names, each with a place of one."""

OPEN_UNIONS: Final = frozenset(
    {
        "ContentBlock",
        "ContentBlockParam",
        "ToolResultContentParam",
        "StartedBlock",
        "ContentBlockDelta",
        "TextCitation",
        "TextCitationParam",
        "ThinkingConfigParam",
        "MessageBatchResult",
        "MessageStreamEvent",
    }
)
"""The unions that may hold a type which this release does not know."""

NAMES: Final[Mapping[str, str]] = {
    "CreateMessageParams": "MessageCreateBody",
    "CountTokensParams": "MessageCountTokensParams",
    "TokenCount": "MessageTokensCount",
    "TextParam": "TextBlockParam",
    "ImageParam": "ImageBlockParam",
    "DocumentParam": "DocumentBlockParam",
    "SearchResultParam": "SearchResultBlockParam",
    "ThinkingParam": "ThinkingBlockParam",
    "RedactedThinkingParam": "RedactedThinkingBlockParam",
    "ToolUseParam": "ToolUseBlockParam",
    "ToolResultParam": "ToolResultBlockParam",
    "ToolReferenceParam": "ToolReferenceBlockParam",
    "ServerToolUseParam": "ServerToolUseBlockParam",
    "ToolSearchToolResultParam": "ToolSearchToolResultBlockParam",
    "WebSearchToolResultParam": "WebSearchToolResultBlockParam",
    "WebFetchToolResultParam": "WebFetchToolResultBlockParam",
    "ToolAdditionParam": "ToolAdditionBlockParam",
    "ToolRemovalParam": "ToolRemovalBlockParam",
    "CacheControlParam": "CacheControlEphemeral",
    "CustomToolParam": "Tool",
    "DefinedToolParam": "DefinedTool",
    "EditorToolParam": "EditorTool",
    "ToolSearchParam": "ToolSearchTool",
    "WebSearchParam": "WebSearchTool",
    "LaterWebSearchParam": "LaterWebSearchTool",
    "WebFetchParam": "WebFetchTool",
    "CachingWebFetchParam": "CachingWebFetchTool",
    "LaterWebFetchParam": "LaterWebFetchTool",
    "AutoChoice": "ToolChoiceAuto",
    "AnyChoice": "ToolChoiceAny",
    "NamedChoice": "ToolChoiceTool",
    "NoChoice": "ToolChoiceNone",
    "EnabledThinking": "ThinkingConfigEnabled",
    "AdaptiveThinking": "ThinkingConfigAdaptive",
    "DisabledThinking": "ThinkingConfigDisabled",
    "BetweenToolsThinking": "ThinkingConfigBetweenTools",
    "MessageStart": "MessageStartEvent",
    "MessageDelta": "MessageDeltaEvent",
    "MessageStop": "MessageStopEvent",
    "ContentBlockStart": "ContentBlockStartEvent",
    "ContentBlockDelta": "ContentBlockDeltaEvent",
    "ContentBlockStop": "ContentBlockStopEvent",
    "Ping": "PingEvent",
    "Ending": "MessageEnding",
    "DeltaUsage": "MessageDeltaUsage",
    "BatchRequestParams": "BatchRequest",
    "CreateBatchParams": "BatchCreateParams",
    "ResultLine": "MessageBatchIndividualResponse",
    "RequestCounts": "MessageBatchRequestCounts",
    "Succeeded": "MessageBatchSucceededResult",
    "Errored": "MessageBatchErroredResult",
    "Canceled": "MessageBatchCanceledResult",
    "Expired": "MessageBatchExpiredResult",
    "ModelInfo": "ModelInfo",
    "ErrorEnvelope": "ErrorResponse",
    "ErrorDetail": "ErrorObject",
    "KeyInfo": "ApiKey",
    "OrganizationInfo": "OrganizationInfo",
    "RequestInfo": "RequestRecord",
    "AuditInfo": "AuditEntry",
    "MemberInfo": "WorkspaceMember",
    "IncreaseInfo": "LimitIncreaseRequest",
    "CreateKeyParams": "ApiKeyCreateParams",
    "UpdateKeyParams": "ApiKeyUpdateParams",
    "RotateKeyParams": "ApiKeyRotateParams",
    "Effort": "EffortCapability",
    "Report_UsageResult_": "UsageReport",
    "Report_CostResult_": "CostReport",
    "Report_CacheReportResult_": "PromptCacheReport",
    "ReportBucket_UsageResult_": "UsageBucket",
    "ReportBucket_CostResult_": "CostBucket",
    "ReportBucket_CacheReportResult_": "PromptCacheBucket",
    "ReportBucket_ActivityResult_": "ActivityBucket",
}
"""The names that are not those of the structs."""

LEFT_OUT: Final = frozenset(
    {
        # What other clients send, and this SDK does not.
        ("CreateMessageParams", "thread"),
        ("CreateMessageParams", "safeguards"),
        ("CreateMessageParams", "output_format"),
        ("CountTokensParams", "output_format"),
    }
)
"""Fields that callers of this SDK have no use for."""

WIDER: Final[Mapping[tuple[str, str], str]] = {
    # These are kept as JSON that came from elsewhere, or are decoded later.
    ("BatchRequestParams", "params"): "MessageCreateBody",
    ("Succeeded", "message"): "Message",
    # The hosted API answers with more than this server does.
    ("TextBlock", "citations"): "TextCitation[] | null",
    # Blocks of answers go back as they are.
    ("ServerToolUseParam", "name"): "string",
    ("PdfSourceBlock", "media_type"): '"application/pdf"',
    ("TextSourceBlock", "media_type"): '"text/plain"',
    ("ToolSearchErrorParam", "error_code"): "string",
    ("WebSearchErrorParam", "error_code"): "string",
    ("WebFetchErrorParam", "error_code"): "string",
    ("Message", "container"): "Record<string, unknown> | null",
}
"""Fields whose types are wider than the description says."""
