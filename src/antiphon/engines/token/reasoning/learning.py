"""Learns the reasoning format of a template: conversations and values are tried, and compared."""

from collections.abc import Callable

from msgspec.structs import replace

from antiphon.engines.token.notation.lab import ASKED, SAID, Message
from antiphon.engines.token.prompt.reasoning_format import (
    Kept,
    ReasoningFormat,
    ReasoningTags,
)
from antiphon.engines.token.reasoning.controls import (
    Ends,
    budget_in,
    effort_in,
    needed,
    switch_in,
)
from antiphon.engines.token.reasoning.lab import MORE, THOUGHT, Lab, Place, Render, Variables
from antiphon.engines.token.reasoning.proof import flaw
from antiphon.engines.token.reasoning.tags import (
    FoundTags,
    around_a_thought,
    at_the_end_of_prompts,
    in_instructions,
)
from antiphon.engines.token.reasoning.trials import USUAL, Reads, Trials


def learn_reasoning(
    render: Render, reads: Reads, *, tags: ReasoningTags | bool = True
) -> ReasoningFormat:
    """Return the reasoning format of a template.

    `tags` are the operator's: tags, `False` for none, or `True` to learn them.
    """
    always = needed(Lab(render), reads)
    lab = Lab(render).given(always)
    learned = _learned(lab, Trials(lab, reads), tags=tags)
    return replace(learned, always=always) if always else learned


def _learned(lab: Lab, trials: Trials, *, tags: ReasoningTags | bool) -> ReasoningFormat:
    settings = trials.settings
    usual = [one for one in settings if set(one) <= {*USUAL}]
    found = (
        around_a_thought(lab, settings)
        or at_the_end_of_prompts(lab, settings, trials.reads.constants)
        or in_instructions(lab, usual)
    )
    if isinstance(tags, ReasoningTags):
        header = lab.header({}) if found is None else found.header
        place = Place() if found is None or found.tags.opening != tags.opening else found.place
        found = FoundTags(tags, place, header)
    if found is None:
        return ReasoningFormat(
            missing="it shows no reasoning",
            effort=effort_in(trials, None),
        )
    learned = _with_controls(lab, trials, found)
    if tags is False:
        return replace(learned, tags=None, missing="it is switched off")
    return learned


def _with_controls(lab: Lab, trials: Trials, found: FoundTags) -> ReasoningFormat:
    ends = Ends(found.tags, found.header)
    switch = switch_in(trials, ends)
    on: Variables = {} if switch is None else {switch.variable: switch.on}
    off: Variables = {} if switch is None else {switch.variable: switch.off}
    effort = effort_in(trials, ends)
    if effort is None and on:
        # A template may look at the effort only if the model shall reason.
        effort = effort_in(Trials(lab.given(on), trials.reads.with_efforts), ends)
    flawed = next(filter(None, map(flaw, _writers(lab, found, on))), None)
    return ReasoningFormat(
        tags=found.tags,
        flaw=flawed or "",
        field=found.place.field,
        as_block=found.place.as_block,
        switch=switch,
        effort=effort,
        budget_variable=budget_in(trials, ends),
        opened=ends.of(lab.text([ASKED], on)),
        shut=ends.of(lab.text([ASKED], off)),
        kept="never" if flawed else _kept(lab, found, on),
        at_calls=_at_calls(lab, found, on),
    )


def _writers(
    lab: Lab, found: FoundTags, on: Variables
) -> tuple[Callable[[str], str | None], Callable[[str], str | None]]:
    """Return functions that render a thought before a text, and before a call."""
    return (
        lambda thought: lab.tail([_reasoned(found, SAID, thought)], on),
        lambda thought: lab.loop(_reasoned(found, "", thought), on),
    )


def _kept(lab: Lab, found: FoundTags, on: Variables) -> Kept:
    """Return which earlier reasoning a template shows."""
    if _shows(found, lab.tail([_reasoned(found, SAID), MORE], on)):
        return "always"
    called = lab.loop(_reasoned(found, ""), on)
    last = lab.tail([_reasoned(found, SAID)], on)
    return "loop" if _shows(found, called) or _shows(found, last) else "never"


def _at_calls(lab: Lab, found: FoundTags, on: Variables) -> bool:
    """Whether a template shows reasoning before calls only."""
    called = lab.loop(_reasoned(found, ""), on)
    last = lab.tail([_reasoned(found, SAID)], on)
    return _shows(found, called) and not _shows(found, last)


def _shows(found: FoundTags, text: str | None) -> bool:
    """Whether a thought is there; one in the content may follow an empty one, which is no place."""
    if text is None or THOUGHT not in text:
        return False
    before = text.partition(THOUGHT)[0].rstrip()
    own = found.header + found.tags.begin
    return found.place != Place() or before.endswith(own.rstrip())


def _reasoned(found: FoundTags, text: str, thought: str = THOUGHT) -> Message:
    """Return an answer with reasoning, in its place."""
    begin, end = (found.tags.begin, found.tags.end) if found.place == Place() else ("", "")
    return found.place.message(begin + thought + end, text)
