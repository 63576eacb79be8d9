"""The options of a messages_api engine."""

from antiphon.engines.upstream.options import UpstreamOptions


class MessagesOptions(UpstreamOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The defaults are the promises of the Claude API; for other upstreams they are set here.

    `version` is the `anthropic-version` of requests. Thinking that the upstream signed itself is
    always sent back to it; `resend_thinking` also sends other thinking, which it may refuse. With
    `defer_loading` it gets deferred tools and references to them as they came, else all tools at
    once.
    """

    version: str = "2023-06-01"
    resend_thinking: bool = False
    forced_tools: bool = True
    structured_outputs: bool = True
    images: bool = True
    defer_loading: bool = True

    def __repr__(self) -> str:
        return super().__repr__()
