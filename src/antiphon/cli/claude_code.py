"""Whether a server's models have the context that Claude Code needs."""

from collections.abc import Sequence
from pathlib import Path

from antiphon.cli.recommended import Recommended, recommended_here
from antiphon.engines.llama.memory import trained_context
from antiphon.service.models import Models, ModelSource

# Its first request has about 20,000 tokens, of which tools are the most.
NEEDED = 32_000
SET = 32_768
PAGE = "docs/how-to/use-claude-code.md"


def context_note(
    models: Models, sources: Sequence[ModelSource], recommended: Recommended = recommended_here
) -> str | None:
    """Return a note on the first model for Claude Code whose context is too small, if one is.

    Models for Claude Code answer to names that begin with `claude`. The note names the model that
    is `recommended` for this machine.
    """
    for source in sources:
        settings = source.settings
        context = models.find(settings.id).listed().max_input_tokens
        is_for_it = any(name.startswith("claude") for name in (settings.id, *settings.aliases))
        if is_for_it and context is not None and context < NEEDED:
            return (
                f"Claude Code needs about {NEEDED:,} tokens of context; {settings.id} has "
                f"{context:,}{_more(source, recommended)} ({PAGE})."
            )
    return None


def _more(source: ModelSource, recommended: Recommended) -> str:
    """Return the end of the note: how to get more context, if the model can have more."""
    trained = [_trained(weights) for weights in source.weights if weights is not None]
    if not trained:
        return ". Give its server more"
    if min(trained) < NEEDED:
        fit = recommended()
        name = "FILE.gguf" if fit is None else fit.model.name
        return f" and can have no more. Choose another one: `antiphon serve --model {name}`"
    return f". It can have more: set `[llama] context = {SET}`"


def _trained(weights: Path) -> int:
    return trained_context(weights) or 0
