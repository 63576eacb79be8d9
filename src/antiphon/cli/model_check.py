"""`antiphon models check`: what is learned of a model, or of a template alone."""

import argparse
import asyncio
from pathlib import Path

import msgspec
from msgspec.structs import replace

from antiphon.cli.checked_model import Checked
from antiphon.cli.command import CommandError
from antiphon.cli.exam.result import kept_result
from antiphon.cli.model_report import report
from antiphon.cli.output import say_json, say_unchanged
from antiphon.engines.llama.context import context_here, facts_of_file
from antiphon.engines.llama.gguf_header import HeaderError, read_header
from antiphon.engines.llama.model_file import ModelFile, model_file, read_model_file
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.token.prompt.family_templates import Family, family_of
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.engines.token.template_facts import TemplateFacts, template_facts
from antiphon.settings import Settings
from antiphon.store.data_folder import refuse_a_file
from antiphon.weights.file_names import SUFFIX
from antiphon.weights.hub_access import USUAL_HUB, HubAccess, hub_of
from antiphon.weights.pull import located, opened_remote
from antiphon.weights.resolve import to_fetch
from antiphon.weights.source import MAGIC
from antiphon.weights.spec import FORMS, parse_spec

MOST_SOURCE = 1 << 20
"""The bytes of a template's file; the largest known one has a twentieth of them."""
NO_TEMPLATE = "the file has no chat template, and its tokens are those of no known family"
PROJECTOR = "it is a projector for images (`mmproj`) of a model, and no model"
FOR_TOOLS = "tool_use"


def check_model(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print what is learned; return 1 if no conversation can be put to the model."""
    refuse_a_file(settings.data_dir)
    checked = check(arguments.model, settings.data_dir, hub_of(settings))
    if arguments.json:
        say_json(checked.as_json())
    else:
        say_unchanged(report(checked))
    return 0 if checked.unusable is None else 1


def check(what: str, data_dir: Path, hub: HubAccess = USUAL_HUB) -> Checked:
    """Check a model or a template. Raises `CommandError`, `PullError` and `SpecError`."""
    name = parse_spec(what)
    path = located(name, data_dir)
    meant: object = path
    try:
        if path is None:
            meant = remote = to_fetch(name, hub)
            with opened_remote(remote, hub) as stream:
                file = model_file(read_header(stream), stream.size)
        elif _is_model(path):
            file = read_model_file(path)
        else:
            return _check_template(what, _read_template(path))
    except HeaderError as error:
        raise CommandError(f"{what}: {error}") from error
    except OSError as error:
        raise CommandError(f"{what}: {error.strerror or error}") from error
    checked = _check_file(what, file, None if str(meant) == what else str(meant))
    if path is None:
        return checked
    return replace(checked, exam=kept_result(path, data_dir))


def _is_model(path: Path) -> bool:
    """Return whether a file is to be read as a model. Raises `CommandError` and `OSError`."""
    if not path.exists():
        raise CommandError(f"There is no file {path}.\n{FORMS}")
    if not path.is_file():
        raise CommandError(f"{path} is not a file; give a .gguf file, or one with a template")
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC or path.suffix.lower() == SUFFIX


def _read_template(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MOST_SOURCE + 1)
    if len(content) > MOST_SOURCE:
        raise CommandError(f"{path} is neither a GGUF file nor a template: it is too large for one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{path} is neither a GGUF file nor a template: it is not UTF-8"
        ) from error


def _no_template(source: str) -> str | None:
    """Return why a text is no template at all; `None` if it may be one with a mistake."""
    try:
        content = msgspec.json.decode(source)
    except msgspec.DecodeError:
        written = "{{" in source or "{%" in source
        return None if written else "it is no chat template: it has neither {{ … }} nor {% … %}"
    if isinstance(content, dict) and "chat_template" in content:
        return "it is JSON: save the text of its `chat_template` as a file, and check that one"
    return "it is JSON, and no chat template"


def _check_template(what: str, source: str) -> Checked:
    try:
        learned = template_facts(source)
    except TemplateUnusableError as error:
        complaint = _no_template(source) or f"the template cannot be used: {error}"
        raise CommandError(f"{what}: {complaint}") from error
    return Checked(
        source=what,
        kind="template",
        file=None,
        learned=learned,
        unusable=None,
        served_context=None,
        slots=LlamaOptions().slots,
    )


def _family_of(file: ModelFile) -> Family | None:
    """Return the family of a file without a template, by its control tokens, as a server does."""

    async def tokenize(text: str, *, control: bool, ends: bool = False) -> list[int]:
        del ends
        return [0] if control and text in file.controls else [1] * len(text)

    return asyncio.run(family_of(tokenize))


def _check_file(what: str, file: ModelFile, meant: str | None) -> Checked:
    options = LlamaOptions()
    served = context_here(facts_of_file(file), options.slots)
    learned: TemplateFacts | None = None
    is_projector = file.projector is not None
    unusable: str | None = PROJECTOR if is_projector else NO_TEMPLATE
    family, used = None, None
    templates = {} if is_projector else dict(file.templates)
    if not file.templates and (family := _family_of(file)) is not None:
        templates = {family.name: family.template}
    # The one for tools says what matters most; a server takes the other one if it cannot be used.
    for name in sorted(templates, key=lambda name: (name != FOR_TOOLS, name != "default")):
        try:
            learned = template_facts(templates[name], bos=file.begin, eos=file.end)
        except TemplateUnusableError as error:
            unusable = f"its chat template cannot be used: {error}"
        else:
            unusable, used = None, name
            break
    return Checked(
        source=what,
        meant=meant,
        kind="model",
        file=file,
        learned=learned,
        unusable=unusable,
        template=None if family else used,
        family=None if family is None else family.name,
        served_context=served.tokens,
        context_bound=served.bound,
        slots=options.slots,
    )
