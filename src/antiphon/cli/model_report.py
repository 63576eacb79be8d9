"""The report of `antiphon models check`: a name and a sentence for each thing that was learned."""

import unicodedata
from collections.abc import Iterable, Iterator
from textwrap import fill
from typing import Final

from rich.filesize import decimal

from antiphon.cli.checked_model import Checked
from antiphon.cli.exam.report import exam_line
from antiphon.cli.program import WIDTH
from antiphon.engines.llama.model_file import KvCache, ModelFile
from antiphon.engines.llama.projector_file import ProjectorFile
from antiphon.engines.token.template_facts import (
    CallFacts,
    Guarantees,
    PrefixFacts,
    RoleFacts,
    TemplateFacts,
    ThoughtFacts,
)

UNKNOWN: Final = (
    "size, context, memory and vocabulary, and so whether the marks above are single tokens: "
    "a template alone does not tell"
)
_NAMES: Final = 10
"""The width of the names."""
_GAP: Final = 2
_COPIED: Final = frozenset({"a call", "a result"})
"""What is folded nowhere: a call with a line more would be another one."""


def report(checked: Checked) -> str:
    """Return the report. Its lines have at most 80 columns, but for long words.

    Calls and results stand as a model reads and writes them, to be copied: they are not folded.
    What a file says of itself is printed without control characters: it may be of a stranger.
    """
    rows: list[tuple[str, str]] = [
        ("model" if checked.kind == "model" else "template", checked.source)
    ]
    if checked.meant is not None:
        rows.append(("", f"that is {checked.meant}"))
    if checked.file is not None:
        rows += _file(checked.file)
        rows += _templates(checked)
    if checked.unusable is not None:
        rows.append(("refused", checked.unusable))
    if checked.learned is not None:
        rows += _learned(checked.learned)
    if checked.file is not None and checked.file.projector is not None:
        rows += _projector(checked.file.projector)
    else:
        rows += _context(checked)
    if checked.learned is not None:
        rows.append(("guaranteed", _guarantees(checked.learned.guarantees)))
    if checked.exam is not None:
        rows.append(("exam", exam_line(checked.exam)))
    return "\n".join(lines_of(rows))


def lines_of(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines of a report, without control characters."""
    indent = " " * (_NAMES + _GAP)
    for name, text in rows:
        written = _as_it_is if name in _COPIED else _folded
        whole = "\n".join(written(_printable(line), indent) for line in text.split("\n"))
        yield (name.ljust(_NAMES + _GAP) + whole[len(indent) :]).rstrip()


def _as_it_is(line: str, indent: str) -> str:
    return indent + line


def _folded(line: str, indent: str) -> str:
    found = fill(
        line, WIDTH, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False, drop_whitespace=True,
    )  # fmt: skip
    return found or indent


def _printable(text: str) -> str:
    """Return a text without what would move the cursor or change the direction of writing."""
    return "".join(
        ascii(one)[1:-1] if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"} else one
        for one in text
    )


def _file(file: ModelFile) -> Iterator[tuple[str, str]]:
    """Yield what a file says of itself."""
    unnamed = "no name, no architecture"
    yield "name", ", ".join(filter(None, (file.name, file.architecture))) or unnamed
    size = "size not stated" if file.bytes is None else decimal(file.bytes)
    parts = f" in {file.parts} files" if file.parts > 1 else ""
    missing = f", of which {file.missing} are not beside it" if file.missing else ""
    stored = f", mostly {file.quantization}" if file.quantization else ""
    words = f"; {file.vocabulary:,} tokens in its vocabulary" if file.projector is None else ""
    yield "file", f"{size}{parts}{missing}{stored}{words}"


def _templates(checked: Checked) -> Iterator[tuple[str, str]]:
    """Yield which template is told of, if it is not the only one of the file."""
    if checked.family is not None:
        yield "template", f"none in the file; that of {checked.family} is used, by its tokens"
    elif checked.file is not None and len(checked.file.templates) > 1:
        names = ", ".join(checked.file.templates)
        yield "template", f"{checked.template}, for prompts with tools; the file has {names}"


def _learned(learned: TemplateFacts) -> Iterator[tuple[str, str]]:
    yield from _calls(learned.calls)
    yield from _thoughts(learned.thoughts)
    yield "roles", _roles(learned.roles)
    yield "prefix", _prefix(learned.prefix, thinks=learned.thoughts is not None)


def _calls(calls: CallFacts) -> Iterator[tuple[str, str]]:
    described = "" if calls.described_by == "template" else "; its template does not describe tools"
    if calls.native:
        yield "tools", f"native call format: that of its template{described}"
    else:
        yield "tools", f"general call format: that of Antiphon, because {calls.reason}"
    yield "a call", calls.example
    several = "one answer may have several calls" if calls.parallel else "one call in each answer"
    if calls.name_of_texts is not None:
        several += f"; no tool may be named `{calls.name_of_texts}`: so begins a text"
    yield "", f"({several})"
    whose = "its own role" if calls.results_role == "tool" else "said by the user"
    yield "a result", calls.result_example or "-"
    yield "", f"({whose})"


def _thoughts(thoughts: ThoughtFacts | None) -> Iterator[tuple[str, str]]:
    if thoughts is None:
        yield "thoughts", "none: the template has no place for them"
        return
    opened = "the template opens them" if thoughts.opened_by == "template" else "opened by Antiphon"
    yield "thoughts", f"between {thoughts.opening} and {thoughts.closing}; {opened}"
    kept = {
        (True, True): "kept",
        (True, False): "kept while tools are called, dropped when the user has said more",
        (False, True): "dropped while tools are called, kept later",
        (False, False): "dropped from the next message on",
    }
    yield "", kept[thoughts.kept_in_loop, thoughts.kept_later]
    controls = [f"switch {thoughts.switch}"] if thoughts.switch else ["no switch"]
    if thoughts.efforts:
        controls.append(f"efforts {', '.join(thoughts.efforts)}")
    if thoughts.takes_budget:
        controls.append("a budget of tokens")
    yield "", "; ".join(controls)


def _roles(roles: RoleFacts) -> str:
    known = {
        "system": roles.system,
        "system between other messages": roles.later_system,
        "tool": roles.tool,
        "two messages of the user in a row": roles.consecutive_users,
    }
    has = ", ".join(name for name, one in known.items() if one) or "user and assistant only"
    lacks = ", ".join(name for name, one in known.items() if not one)
    return f"{has}; not: {lacks}" if lacks else has


def _prefix(prefix: PrefixFacts, *, thinks: bool) -> str:
    """Say what is read again as a conversation goes on."""
    if not prefix.in_chat:
        said = "the template changes what it wrote whenever the conversation goes on"
    elif prefix.in_loop and prefix.at_question:
        said = "nothing of a prompt is read again as the conversation goes on"
    elif prefix.in_loop:
        said = "stays while tools are called"
        said += "; read again from the first thought of the last loop when the user has said more"
    else:
        said = "stays in a conversation without tools; read again from the first "
        said += "thought as tools are called" if thinks else "call as tools are called"
    return said + ("; it begins with the date, and changes at midnight" if prefix.dated else "")


def _projector(projector: ProjectorFile) -> Iterator[tuple[str, str]]:
    """Yield what a projector does with an image."""
    if not projector.sees:
        yield "images", "none: it reads no images"
        return
    kind = projector.kind or "of no stated kind"
    width = projector.width
    fits = "its model is not stated" if width is None else f"for embeddings of {width:,}"
    yield "projector", f"{kind}, {fits}"
    yield "images", _images(projector)
    tokens = projector.most_tokens
    yield "tokens", "not stated" if tokens is None else f"about {tokens:,} for an image at most"


def _images(projector: ProjectorFile) -> str:
    size, patch, merged = projector.image_size, projector.patch_size, projector.merged
    least, most = projector.least_pixels, projector.most_pixels
    if most is not None or least is not None:
        bounds = (("at least", least), ("at most", most))
        given = [f"{word} {one:,}" for word, one in bounds if one is not None]
        said = f"scaled to {' and '.join(given)} pixels"
    elif size is not None and projector.most_tiles is not None:
        said = f"cut into at most {projector.most_tiles:,} squares of {size:,} x {size:,} pixels"
    elif size is not None:
        said = f"made for {size:,} x {size:,} pixels"
    else:
        said = "no size is stated"
    if patch is None:
        return said
    if merged is None:
        return f"{said}, in patches of {patch:,} x {patch:,}"
    side = patch * merged
    return f"{said}; a token for each {side:,} x {side:,} of them"


def _context(checked: Checked) -> Iterator[tuple[str, str]]:
    file = checked.file
    if file is None:
        yield "unknown", UNKNOWN
        return
    trained = "not stated" if file.context is None else f"{file.context:,} tokens"
    lack = ", for lack of memory" if checked.context_bound == "memory" else ""
    said = f"trained for {trained}; {checked.served_context:,} are served by default{lack}"
    yield "context", said
    yield "memory", _memory(file.kv_cache, checked.served_context or 0, checked.slots)


def _memory(cache: KvCache, context: int, slots: int) -> str:
    if cache.bytes_per_token is None:
        return "not known: the file does not describe its KV cache"
    about = "" if cache.exact else "at most "
    fewest, most = cache.kv_heads[0], cache.kv_heads[-1]
    heads = "1 head" if most == 1 else f"{most:,} heads"
    if fewest != most:
        heads = f"{fewest:,} to {heads}"
    lengths = {cache.key_length: 0, cache.value_length: 0}
    sizes = " and ".join(f"{one:,}" for one in lengths if one is not None)
    window = (
        f", some of them with a window of {cache.sliding_window:,} tokens"
        if cache.sliding_window
        else ""
    )
    token = cache.growing or cache.bytes_per_token
    grows = "" if token == cache.bytes_per_token else f", of which {decimal(token)} grow"
    whole = decimal((token * context + cache.fixed) * slots)
    return (
        f"{about}{decimal(cache.bytes_per_token)} of KV cache for each token "
        f"({cache.layers or 0:,} layers, {heads} of {sizes}, {cache.type}{window}){grows}: "
        f"{about}{whole} for {slots} slots of {context:,}"
    )


def _guarantees(guarantees: Guarantees) -> str:
    given = {
        "forced and strict tools": guarantees.forced_tools,
        "structured outputs": guarantees.structured_outputs,
        "exact counts": guarantees.counts_exactly,
    }
    found = ", ".join(name for name, one in given.items() if one)
    return f"{found}; images with a projector (`mmproj`)"
