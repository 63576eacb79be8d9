"""The catalogue of models: those with a short name, what they need, and which fits a machine.

Its file is `catalogue.toml` beside this module, which is read when somebody asks.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.weights.file_names import answers_to
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.source import PullError
from antiphon.weights.spec import ModelName, ShortName, canonical, parse_spec

Ability: TypeAlias = Literal["tools", "thinking", "images"]

FILE: Final = "catalogue.toml"
RESERVE: Final = 768 << 20
"""Bytes for buffers of the computation and for the server itself."""
CONTEXT: Final = 32_768
"""Tokens of one conversation that a recommended model has room for: what small agents need."""
CLAUDE_CODE: Final = 57_000
"""Tokens of context that Claude Code needs: its first request has about 20,000, of which tools are
the most, and its work as many and more."""
CONTEXT_STEP: Final = 256
TYPICAL_BANDWIDTH: Final = 40e9
"""Bytes/s by which models are ordered where nothing was measured; never told as a speed."""
LEAST_SPEED: Final = 5.0
"""Tokens a second, below which a model is recommended only where none is faster."""
SHARE: Final = 0.6
"""The share of the bandwidth of the memory that generation reaches, as it was measured."""
_QUANTIZED = re.compile(
    r"(?P<name>.+?)[-:](?P<tag>(?:UD-)?(?:I?Q\d\w*|B?F16|MXFP4\w*))", re.IGNORECASE
)

Bytes: TypeAlias = Annotated[int, Meta(ge=0)]
Billions: TypeAlias = Annotated[float, Meta(gt=0)]


class CatalogueModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An entry; the head of its file says what the fields mean."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]*\Z")]
    title: str
    model: str
    size: Annotated[int, Meta(gt=0)]
    parameters: Billions
    active: Billions
    context: Annotated[int, Meta(gt=0)]
    token: Annotated[int, Meta(gt=0)]
    state: Bytes = 0
    can: tuple[Ability, ...]
    licence: str
    sources: Annotated[tuple[str, ...], Meta(min_length=1)]
    run_here: bool
    stopgap: bool = False
    note: str | None = None

    def needed(self, context: int) -> int:
        """Return the bytes of memory for one conversation of this many tokens."""
        return self.size + self.state + self.token * context + RESERVE

    def fitting(self, memory: int) -> int:
        """Return the tokens of the longest conversation that fits into memory; 0 for none."""
        room = (memory - self.needed(0)) // self.token
        return max(0, min(self.context, room // CONTEXT_STEP * CONTEXT_STEP))

    @property
    def read_per_token(self) -> int:
        """The bytes of weights that are read for each token that is generated."""
        return int(self.size * self.active / self.parameters)

    @property
    def is_toy(self) -> bool:
        """Whether it is there for tests only."""
        return not self.can


class Machine(msgspec.Struct, frozen=True):
    """What a machine has for models: bytes of memory and of its GPU; `bandwidth` in bytes/s.

    The bandwidth is that of the memory, `None` if it was not measured; that of a GPU is not known.
    """

    memory: int
    gpu_memory: int = 0
    bandwidth: float | None = None


class Fit(msgspec.Struct, frozen=True):
    """A model that fits a machine: the context it has room for, and how fast it may be.

    `speed` is an estimate in tokens/s, `None` where nothing is known to estimate it from.
    """

    model: CatalogueModel
    context: int
    on_gpu: bool
    speed: float | None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    models: tuple[CatalogueModel, ...]


def read_catalogue(text: str | None = None) -> tuple[CatalogueModel, ...]:
    """Return the models of the catalogue, in its order; of a `text` instead of its file."""
    if text is None:
        text = files("antiphon.weights").joinpath(FILE).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).models


def look_up(name: ShortName, models: Iterable[CatalogueModel]) -> ModelName:
    """Return what a short name stands for. Raises `PullError` with the names that are like it.

    `qwen3.5:4b` is `qwen3.5-4b`, and `qwen3.5-4b:Q8_0` the same model with that quantization.
    """
    known = {model.name: model for model in models}
    wanted = _joined(name)
    if wanted in known:
        return parse_spec(known[wanted].model)
    quantized = _QUANTIZED.fullmatch(wanted)
    if quantized is not None and quantized["name"] in known:
        stands_for = parse_spec(known[quantized["name"]].model)
        if isinstance(stands_for, RepositorySpec):
            return msgspec.structs.replace(stands_for, tag=quantized["tag"].upper())
    near = get_close_matches(wanted, known, 3, 0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise PullError(
        f"There is no file {str(name)!r}, and no such model in the catalogue or in Ollama's store."
        f"{meant} `antiphon models recommended --all` lists the catalogue; a model of the hub is "
        "hf:OWNER/REPO"
    )


def named_in_catalogue(name: ModelName, models: Iterable[CatalogueModel]) -> CatalogueModel | None:
    """Return the entry that a name is of: its short name, what it stands for, or a file of that."""
    wanted = _joined(name) if isinstance(name, ShortName) else None
    return next((one for one in models if one.name == wanted or _is_of(one, name)), None)


def _is_of(model: CatalogueModel, name: ModelName) -> bool:
    stands_for = parse_spec(model.model)
    if isinstance(stands_for, RepositorySpec) and isinstance(name, HubSpec):
        has_tag = stands_for.tag is None or answers_to(name.path, stands_for.tag)
        return has_tag and stands_for.holds(name)
    return canonical(stands_for) == canonical(name)


def fits(machine: Machine, models: Sequence[CatalogueModel]) -> list[Fit]:
    """Return the models that fit with `CONTEXT` tokens, or all that they have; the best first.

    The order is that of the catalogue, from its end. Models that would be slow without a GPU come
    behind all others, the fastest first; then come stopgaps, and the toy comes last.
    """
    found = [fit for model in reversed(models) if (fit := _fit(machine, model)) is not None]
    bandwidth = machine.bandwidth or TYPICAL_BANDWIDTH
    return sorted(found, key=lambda fit: _rank(fit, bandwidth))


def best(machine: Machine, models: Sequence[CatalogueModel]) -> Fit | None:
    """Return the model that is recommended for a machine; `None` if none but the toy fits."""
    return next((fit for fit in fits(machine, models) if not fit.model.is_toy), None)


def _fit(machine: Machine, model: CatalogueModel) -> Fit | None:
    least = min(CONTEXT, model.context)
    on_gpu = model.fitting(machine.gpu_memory) >= least
    context = model.fitting(machine.gpu_memory if on_gpu else machine.memory)
    if context < least:
        return None
    measured = None if on_gpu else machine.bandwidth
    return Fit(model, context, on_gpu, None if measured is None else _speed(model, measured))


def _rank(fit: Fit, bandwidth: float) -> tuple[bool, bool, float]:
    """Return what sorts models; those of one rank stay in their order."""
    speed = _speed(fit.model, bandwidth)
    is_slow = not fit.on_gpu and speed < LEAST_SPEED
    return fit.model.is_toy, fit.model.stopgap, 1 / speed if is_slow else 0.0


def _speed(model: CatalogueModel, bandwidth: float) -> float:
    """Return how many tokens a second come from memory of this bandwidth."""
    return bandwidth * SHARE / model.read_per_token


def _joined(name: ShortName) -> str:
    tag = "" if name.tag in {None, "latest"} else f"-{name.tag}"
    return f"{name.name}{tag}".lower()
