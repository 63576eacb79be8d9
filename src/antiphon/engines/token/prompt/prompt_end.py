"""The end of a prompt: in an open thought, or behind a closed one."""

import msgspec
from msgspec.structs import replace

from antiphon.engines.token.prompt.placeholders import Rendered, Segment
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


class PromptEnd(msgspec.Struct, frozen=True):
    """What Antiphon adds to the prompts of a template.

    `switched_off`: the template was told that the model shall not reason, and has done its part.
    """

    tags: ReasoningTags
    switched_off: bool

    def opened(self, rendered: Rendered) -> Rendered:
        """Return a prompt that ends in an open thought."""
        return rendered if self._is_open(rendered) else _with_more(rendered, self.tags.begin)

    def closed(self, rendered: Rendered) -> Rendered:
        """Return a prompt after which the model does not reason."""
        if self._is_open(rendered):
            return _with_more(rendered, self.tags.end)
        shut = self._rest_of_gap(rendered)
        if shut is None and not self.switched_off:
            shut = self.tags.nothing
        return _with_more(rendered, shut or "")

    def _rest_of_gap(self, rendered: Rendered) -> str | None:
        """Return what a prompt still needs that ends behind a closing tag; `None` for others.

        Space is left to the model, as the template does; marks of the answer are not.
        """
        last, gap = rendered.segments[-1], self.tags.gap
        before, found, behind = last.text.rpartition(self.tags.closing)
        is_own = last.control and found and (self.tags.opening in before or not behind.strip())
        if not is_own or not gap.startswith(behind.rstrip()):
            return None
        return gap[len(behind) :] if gap.strip() and gap.startswith(behind) else ""

    def closed_before_prefill(self, rendered: Rendered, asked: Rendered) -> Rendered:
        """Return a prompt with a prefill, before which a thought is closed.

        `asked` is the same prompt without the prefill. What would stand behind it, were the model
        not to reason, stands before the prefill. What the template writes there itself stays.
        """
        closed = self.closed(asked).segments
        last = len(closed) - 1
        segments = [*rendered.segments]
        if segments[:last] != closed[:last] or len(segments) <= last:
            return rendered
        if segments[last].control and closed[last].text.startswith(segments[last].text):
            segments[last] = closed[last]
        return replace(rendered, segments=segments)

    def _is_open(self, rendered: Rendered) -> bool:
        return _ends_with(rendered, self.tags.opening)


def _ends_with(rendered: Rendered, tag: str) -> bool:
    last = rendered.segments[-1]
    return last.control and last.text.rstrip().endswith(tag)


def _with_more(rendered: Rendered, more: str) -> Rendered:
    """Return a prompt with more text of the template's at its end."""
    last = rendered.segments[-1]
    if not more:
        return rendered
    if not last.control:
        return replace(rendered, segments=[*rendered.segments, Segment(more, control=True)])
    longer = Segment(last.text + more, control=True)
    return replace(rendered, segments=[*rendered.segments[:-1], longer])
