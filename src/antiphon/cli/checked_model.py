"""What `antiphon models check` has found out, for its report and for programs."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from antiphon.cli.exam.result import ExamResult
from antiphon.engines.llama.context import USUAL, Bound, context_here, facts_of_file
from antiphon.engines.llama.model_file import ModelFile
from antiphon.engines.token.template_facts import TemplateFacts


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model or of a template; `None` is what only the other one tells.

    `meant` is the one file that a shorter name of a model means. `unusable` says why no
    conversation can be put to it, and then there are no `learned` facts.
    They are of the template that prompts with tools have, `template` by its name: one of the file,
    or that of a `family` if the file has none. `served_context` is what a server on this machine
    would choose now, and `context_bound` what keeps it from being more. `exam` is the last one that
    was taken of the file.
    """

    source: str
    kind: Literal["model", "template"]
    file: ModelFile | None
    learned: TemplateFacts | None
    unusable: str | None
    meant: str | None = None
    template: str | None = None
    family: str | None = None
    served_context: int | None
    context_bound: Bound | None = None
    slots: int
    exam: ExamResult | None = None

    def context_for(self, slots: int) -> int:
        """Return the context that a server on this machine would choose for so many slots."""
        if self.file is None:
            return USUAL
        return context_here(facts_of_file(self.file), slots).tokens

    def as_json(self) -> dict[str, Any]:
        """Return the facts for programs."""
        file, learned = self.file, self.learned
        no_calls = {"native": False, "reason": self.unusable}
        return {
            "source": self.source,
            "kind": self.kind,
            "meant": self.meant,
            "usable": self.unusable is None,
            "reason": self.unusable,
            "file": None if file is None else _file(file),
            "templates": None if file is None else list(file.templates),
            "template": self.template,
            "family": self.family,
            "tools": no_calls if learned is None else learned.calls,
            "thinking": None if learned is None else learned.thoughts,
            "roles": None if learned is None else learned.roles,
            "prefix": None if learned is None else learned.prefix,
            "context": {
                "trained": None if file is None else file.context,
                "served": self.served_context,
                "bound": self.context_bound,
            },
            "projector": None
            if file is None or file.projector is None
            else file.projector.as_json(),
            "kv_cache": None if file is None else file.kv_cache,
            "exam": self.exam,
            "guarantees": None if learned is None else learned.guarantees,
        }


def _file(file: ModelFile) -> Mapping[str, Any]:
    """Return what a file says of itself, without what stands elsewhere."""
    elsewhere = {"projector", "templates", "kv_cache", "context", "controls", "begin", "end"}
    return {
        name: value for name, value in msgspec.structs.asdict(file).items() if name not in elsewhere
    }
