"""A model with a chat template of its own for conversations with tools."""

from typing import Protocol

import msgspec

from antiphon.core.prompt import Prompt, Turn
from antiphon.engines.token.prompt.message_forms import DIRECTED, REASONED, SYSTEM
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError


class Templates(Protocol):
    """The templates of a model: one for each prompt."""

    def of(self, prompt: Prompt) -> ChatTemplate:
        """Return the template that renders a prompt."""
        ...


class NamedTemplates(msgspec.Struct, frozen=True):
    """The default template of a model, and the one for prompts with tools in front.

    Tools stand before everything else of a prompt, so no prefix of a prompt with tools is one of a
    prompt without. Tools that are loaded or defined later leave the template as it was.
    """

    default: ChatTemplate
    with_tools: ChatTemplate

    def of(self, prompt: Prompt) -> ChatTemplate:
        has_tools = any(not tool.deferred for tool in prompt.tools)
        return self.with_tools if has_tools else self.default


def named_templates(default: ChatTemplate, with_tools: ChatTemplate) -> NamedTemplates:
    """Return the templates of a model; one for all prompts, if both say the same without tools.

    Then also tools that are loaded later are called as the template has it.
    """
    conversations = (DIRECTED, (SYSTEM, *DIRECTED), REASONED, (SYSTEM, *REASONED))
    alike = all(_written(default, one) == _written(with_tools, one) for one in conversations)
    return NamedTemplates(with_tools if alike else default, with_tools)


def _written(template: ChatTemplate, turns: tuple[Turn, ...]) -> str | None:
    try:
        rendered = template.render(Prompt(turns, 1))
    except TemplateUnusableError:
        return None
    return "".join(segment.text for segment in rendered.segments)
