"""The options of a messages_api engine."""

from antiphon.engines.upstream.options import UpstreamOptions


class MessagesOptions(UpstreamOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Claude API promises more than other servers; an upstream that does not is told so here.

    `version` is the `anthropic-version` it is asked with. What it thought and signed itself is
    always sent back to it; `resend_thinking` also sends what others thought, which it may mind.
    """

    version: str = "2023-06-01"
    resend_thinking: bool = False
    forced_tools: bool = True
    structured_outputs: bool = True
    images: bool = True

    def __repr__(self) -> str:
        return super().__repr__()
