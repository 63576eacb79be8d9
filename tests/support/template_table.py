"""The page of what is learned of each template that llama.cpp collects.

`make template-table` writes `docs/reference/templates.md`, and a test compares it with the code.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.engines.token.template_facts import (
    CallFacts,
    PrefixFacts,
    RoleFacts,
    TemplateFacts,
    ThoughtFacts,
    has_tools,
    template_facts,
)
from support.template_corpus import NAME, template_corpus

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/templates.md"
NATIVE = "native"
NO_CALLS = "it has no calls"
COLUMNS = (
    "template",
    "call format",
    "results",
    "thoughts",
    "kept",
    "control",
    "system",
    "read again",
)

HEAD = """\
# Templates

What is learned of each chat template that llama.cpp collects (those in the source archive
`{archive}`), as `antiphon models check` says it of one. `make template-table` writes this
page; a test compares it with the code.

**{native} of the {writing} templates that write calls are called in their own notation ({share}).**
{silent} more have a place for tools and write no calls; the others have neither.
Each notation is proven before it is used; see
[notations of calls](../decisions/0041-notations-of-calls.md).

- **call format**: `native` is the notation of the template. `general` is the format in which
  Antiphon asks all other models, for this reason.
- **results**: the role that says what a tool returned.
- **thoughts**: the marks around them; **kept**: how long the template writes them again;
  **control**: its variable for thinking or not, the efforts that it tells apart, and whether it
  takes a budget.
- **system**: where a system prompt may stand as such; elsewhere the user says it.
- **read again**: what changes in a prompt when the conversation goes on, so that it is read again
  from there.
"""

EXAMPLES = """
## How each writes a call

The call of `get_weather` with the text `Paris` and the number `3`. `↵` is the end of a line.

| template | a call | in one answer |
|---|---|---|
"""


def learned(source: str) -> TemplateFacts | str:
    """Return what is learned of a template, or why it cannot be used."""
    try:
        return template_facts(source)
    except TemplateUnusableError as error:
        return str(error)


def row(name: str, facts: TemplateFacts | str, *, tools: bool) -> str:
    """Return the row of a template; `tools`: it has a place for them."""
    if isinstance(facts, str):
        return _row(name, f"refused: {facts}", *["-"] * (len(COLUMNS) - 2))
    thoughts = facts.thoughts
    return _row(
        name,
        _tools(facts.calls, has_tools=tools),
        facts.calls.results_role,
        "-" if thoughts is None else f"{_code(thoughts.opening)} {_code(thoughts.closing)}",
        _kept(thoughts),
        _control(thoughts),
        _system(facts.roles),
        _read_again(facts.prefix),
    )


def example(name: str, facts: TemplateFacts | str) -> str | None:
    """Return the row of a template's own call; `None` if it has none."""
    if isinstance(facts, str) or not facts.calls.native:
        return None
    return _row(name, _code(facts.calls.example), "several" if facts.calls.parallel else "one")


def page(rows: Mapping[str, str], examples: Mapping[str, str], *, tools: int) -> str:
    """Return the page; `tools` is the number of templates that have a place for them."""
    native = sum(f"| {NATIVE} |" in one for one in rows.values())
    silent = sum(f"| general: {NO_CALLS} |" in one for one in rows.values())
    writing = tools - silent
    share = f"{native / writing:.0%}"
    head = HEAD.format(archive=NAME, native=native, writing=writing, share=share, silent=silent)
    table = [_row(*COLUMNS), "|---" * len(COLUMNS) + "|", *rows.values()]
    return "\n".join([head, *table, EXAMPLES]) + "\n".join(examples.values()) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(text: str) -> str:
    """Return a text as code, in one line."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text.strip(chr(10)).replace(chr(10), '↵')}{space}{ticks}"


def _tools(calls: CallFacts, *, has_tools: bool) -> str:
    if calls.native:
        return NATIVE
    return f"general: {calls.reason}" if has_tools else "general: it has no tools"


def _kept(thoughts: ThoughtFacts | None) -> str:
    if thoughts is None:
        return "-"
    if thoughts.kept_later:
        return "always" if thoughts.kept_in_loop else "later"
    return "in the loop" if thoughts.kept_in_loop else "no"


def _control(thoughts: ThoughtFacts | None) -> str:
    if thoughts is None:
        return "-"
    parts = [_code(thoughts.switch)] if thoughts.switch else []
    parts += [", ".join(thoughts.efforts)] if thoughts.efforts else []
    parts += ["budget"] if thoughts.takes_budget else []
    return "; ".join(parts) or "none"


def _system(roles: RoleFacts) -> str:
    if roles.later_system:
        return "anywhere"
    return "first" if roles.system else "nowhere"


def _read_again(prefix: PrefixFacts) -> str:
    parts = list[str]()
    if not prefix.in_chat:
        parts.append("all, always")
    elif not prefix.in_loop:
        parts.append("the loop, while it goes on")
    elif not prefix.at_question:
        parts.append("the last loop, at a question")
    if prefix.dated:
        parts.append("all, at midnight")
    return "; ".join(parts) or "nothing"


def whole(corpus: Mapping[str, str]) -> str:
    """Learn every template, and return the page."""
    rows, examples = dict[str, str](), dict[str, str]()
    for name, source in _in_order(corpus):
        facts = learned(source)
        rows[name] = row(name, facts, tools=has_tools(source))
        if (written := example(name, facts)) is not None:
            examples[name] = written
    return page(rows, examples, tools=sum(map(has_tools, corpus.values())))


def _in_order(corpus: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from sorted(corpus.items(), key=lambda item: item[0].lower())


def main() -> None:
    """Write the page."""
    corpus = template_corpus(ROOT / ".models")
    PAGE.write_text(whole(corpus), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(corpus)} templates\n")


if __name__ == "__main__":
    main()
