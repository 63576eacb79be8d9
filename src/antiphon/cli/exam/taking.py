"""`antiphon models exam`: what a running model can do, by ten minutes of tasks."""

import argparse
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from antiphon import __version__
from antiphon.cli.command import CommandError
from antiphon.cli.exam.api import ExamApi, opened_api
from antiphon.cli.exam.budget import Budget, PartTime
from antiphon.cli.exam.examined import Examined, examine
from antiphon.cli.exam.facts import engine_version, machine_facts, sha256_of_model
from antiphon.cli.exam.parts import (
    examine_calls,
    examine_edits,
    examine_long_context,
    examine_objects,
    examine_speed,
)
from antiphon.cli.exam.report import TITLES, exam_table
from antiphon.cli.exam.result import (
    ExamResult,
    MachineFacts,
    ModelFacts,
    Part,
    Speed,
    as_json,
    has_earned,
    keep_result,
)
from antiphon.cli.exam.tasks import SEED
from antiphon.cli.output import hint, say_json, say_unchanged
from antiphon.core.billing.reports import wire_time
from antiphon.logs import set_up_logs
from antiphon.settings import Settings

LONGEST: Final = 240.0
USUAL_CONTEXT: Final = 8_192
"""The context of a server that tells none."""


def take_exam(arguments: argparse.Namespace, settings: Settings) -> int:
    """Take the exam, print its table, and keep its result. Returns 0, also if it is not passed."""
    if arguments.base_url is not None and arguments.model is not None:
        raise CommandError("--base-url and --model: a server elsewhere has its own models")
    if not 0 < arguments.minutes <= LONGEST:
        raise CommandError(f"--minutes is a number up to {LONGEST:g}")
    set_up_logs("warning", settings.log_format)
    whole = partial(
        take, minutes=arguments.minutes, data_dir=settings.data_dir, clock=time.monotonic
    )
    result, weights = examine(arguments, settings, whole)
    if arguments.json:
        say_json(as_json(result))
    else:
        say_unchanged(exam_table(result))
    hint(f"Kept in {keep_result(result, weights, settings.data_dir)}.")
    return 0


async def take(
    examined: Examined, *, minutes: float, data_dir: Path, clock: Callable[[], float]
) -> tuple[ExamResult, Path | None]:
    """Take the exam on a server; return the result, and the file of the model if it is known."""
    async with opened_api(
        examined.url, examined.api_key, examined.model, clock, examined.admin_key
    ) as (api, listed):
        context = listed.get("max_input_tokens") or USUAL_CONTEXT
        parts, speed = await _parts(api, Budget(minutes * 60, clock), context)
        memory = await api.memory()
    weights, engine = examined.files.get(api.model), examined.engines.get(api.model)
    result = ExamResult(
        taken_at=wire_time(datetime.now(UTC)),
        minutes=minutes,
        seed=SEED,
        antiphon=__version__,
        engine=engine_version(engine),
        model=_model_facts(api.model, weights, listed, data_dir),
        machine=MachineFacts(elsewhere=True) if examined.elsewhere else machine_facts(engine),
        speed=speed,
        memory_bytes=memory,
        parts=parts,
        earned=has_earned(parts),
    )
    return result, weights


async def _parts(api: ExamApi, budget: Budget, context: int) -> tuple[dict[str, Part], Speed]:
    mark = secrets.token_hex(8)
    speed_part, speed = await examine_speed(api, _begun(budget, "speed"), context, mark)
    return {
        "speed": speed_part,
        "calls": await examine_calls(api, _begun(budget, "calls")),
        "objects": await examine_objects(api, _begun(budget, "objects")),
        "edits": await examine_edits(api, _begun(budget, "edits")),
        "long_context": await examine_long_context(api, _begun(budget, "long_context"), context),
    }, speed


def _begun(budget: Budget, name: str) -> PartTime:
    part = budget.part(name)
    hint(f"{TITLES[name]}: {part.left_s:.0f} s at most …")
    return part


def _model_facts(
    model: str, weights: Path | None, listed: dict[str, Any], data_dir: Path
) -> ModelFacts:
    facts = ModelFacts(id=model, context_tokens=listed.get("max_input_tokens"))
    if weights is None:
        return facts
    return ModelFacts(
        id=model,
        context_tokens=facts.context_tokens,
        file=weights.name,
        bytes=weights.stat().st_size,
        sha256=sha256_of_model(weights, data_dir),
    )
