"""Whether a server's models have the context that Claude Code needs, and how to get more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from antiphon.cli.recommended import Recommended, recommended_here
from antiphon.engines.llama.context import MOST, USUAL, with_slots
from antiphon.engines.llama.context import context_facts as facts_of
from antiphon.engines.llama.options import decode_options
from antiphon.service.models import Models, ModelSource
from antiphon.weights.catalogue import CLAUDE_CODE

SET: Final = 65_536
PAGE: Final = "docs/how-to/use-claude-code.md"


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
        if is_for_it and context is not None and context < CLAUDE_CODE:
            return (
                f"{settings.id} on this machine: {context:,} tokens of context; Claude Code needs "
                f"about {CLAUDE_CODE:,}: {more_context(source, context, recommended)} ({PAGE})."
            )
    return None


def more_context(
    source: ModelSource, context: int, recommended: Recommended = recommended_here
) -> str:
    """Say what gives a model more than the `context` that it has, or that nothing does."""
    for weights, runs_on in zip(source.weights, source.settings.runs_on(), strict=False):
        if weights is not None:
            return _more(weights, runs_on.options, context, recommended)
    return "give its server more"


def _more(weights: Path, options: Mapping[str, Any], context: int, recommended: Recommended) -> str:
    facts = facts_of(weights)
    trained = min(facts.trained or USUAL, MOST)
    if trained < CLAUDE_CODE:
        return f"it was made for {trained:,}, so {_another(recommended)}"
    read = {name: options[name] for name in ("context", "slots") if name in options}
    decoded = decode_options("", read)
    if decoded.context:
        return "leave out `[llama] context`, and a start takes what fits into memory"
    if facts.token is None:
        return f"what more would take of the memory is not known; try `[llama] context = {SET}`"
    for fewer in range(decoded.slots - 1, 0, -1):
        if (tokens := with_slots(context, decoded.slots, fewer, trained)) >= CLAUDE_CODE:
            return f"set `[llama] slots = {fewer}`, and each has {tokens:,}"
    most = with_slots(context, decoded.slots, 1, trained)
    return f"with `[llama] slots = 1` it has {most:,} at most, so {_another(recommended)}"


def _another(recommended: Recommended) -> str:
    fit = recommended()
    name = "FILE.gguf" if fit is None else fit.model.name
    return f"choose another model: `antiphon serve --model {name}`"
