"""What `/v1/models` says that a model can be asked for: what has an effect, and nothing else.

What is only taken, because clients send it to every model, is not claimed.
"""

from antiphon.core.prompt import Capabilities
from antiphon.wire.models import Effort, ModelCapabilities, Supported, Thinking, ThinkingTypes


def model_capabilities(capabilities: Capabilities) -> ModelCapabilities:
    """Return what this server and a model with these capabilities do together."""
    return ModelCapabilities(
        # Citations are found and PDFs are read by the server, for every model alike.
        citations=Supported(supported=True),
        pdf_input=Supported(supported=True),
        image_input=Supported(supported=capabilities.images),
        structured_outputs=Supported(supported=capabilities.structured_outputs),
        effort=_effort(capabilities),
        thinking=_thinking(capabilities),
    )


def _effort(capabilities: Capabilities) -> Effort:
    levels = {
        level: Supported(supported=level in capabilities.efforts)
        for level in ("low", "medium", "high", "max", "xhigh")
    }
    return Effort(supported=bool(capabilities.efforts), **levels)


def _thinking(capabilities: Capabilities) -> Thinking:
    thinks = Supported(supported=capabilities.thinking)
    return Thinking(
        supported=capabilities.thinking, types=ThinkingTypes(adaptive=thinks, enabled=thinks)
    )
