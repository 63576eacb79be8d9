"""The capabilities that `/v1/models` lists of a model: parameters that have an effect.

Parameters that are accepted and ignored, because clients send them to every model, are not listed.
"""

from antiphon.core.prompt import Capabilities
from antiphon.wire.models import (
    Effort,
    ModelCapabilities,
    ServerTools,
    Supported,
    ThinkingCapability,
    ThinkingTypes,
)


def model_capabilities(capabilities: Capabilities) -> ModelCapabilities:
    """Return the capabilities of this server and a model together."""
    searches = Supported(supported=capabilities.web_search)
    return ModelCapabilities(
        # The server runs batches, finds citations and reads PDFs, for every model alike.
        batch=Supported(supported=True),
        citations=Supported(supported=True),
        pdf_input=Supported(supported=True),
        image_input=Supported(supported=capabilities.images),
        structured_outputs=Supported(supported=capabilities.structured_outputs),
        effort=_effort(capabilities),
        thinking=_thinking(capabilities),
        server_tools=ServerTools(supported=capabilities.web_search, web_search=searches),
    )


def _effort(capabilities: Capabilities) -> Effort:
    levels = {
        level: Supported(supported=level in capabilities.efforts)
        for level in ("low", "medium", "high", "max", "xhigh")
    }
    return Effort(supported=bool(capabilities.efforts), **levels)


def _thinking(capabilities: Capabilities) -> ThinkingCapability:
    thinks = Supported(supported=capabilities.thinking)
    return ThinkingCapability(
        supported=capabilities.thinking, types=ThinkingTypes(adaptive=thinks, enabled=thinks)
    )
