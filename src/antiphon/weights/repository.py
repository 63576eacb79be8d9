"""Which model of a repository is meant: the rules, as functions of a listing.

A listing is what a hub says, or what another program has; names that no file should have are left
out of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice
from typing import Final

import msgspec

from antiphon.weights.file_names import (
    Series,
    answers_to,
    is_model,
    quantization_of,
    series_of,
)
from antiphon.weights.hub_names import RepositorySpec
from antiphon.weights.source import PullError

DEFAULT_ORDER: Final = (
    "Q4_K_M", "UD-Q4_K_XL", "MXFP4", "MXFP4_MOE", "Q4_K_S", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_1",
    "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0", "Q3_K_M", "BF16", "F16",
)  # fmt: skip
"""What is taken if nothing is said: four bits first, as most programs do; then more, then less."""
MOST_SHOWN: Final = 24
"""The models of a repository that a message lists; its page has all."""


class ListedFile(msgspec.Struct, frozen=True):
    """A file of a repository: its path, its bytes, and its SHA-256 where that is told."""

    path: str
    size: int
    sha256: str | None = None


class ListedModel(msgspec.Struct, frozen=True):
    """A model of a repository, by the file that is loaded; `size` is that of all its files.

    `missing` is the first file of it that the repository does not have.
    """

    path: str
    size: int
    quantization: str | None
    missing: str | None = None


def models_of(files: Iterable[ListedFile], folder: str | None = None) -> tuple[ListedModel, ...]:
    """Return the models among files, the smallest first; of a `folder` those below it."""
    sizes = {file.path: file.size for file in files}
    of_series: dict[Series, dict[int, int]] = {}
    for path, size in sizes.items():
        if (one := series_of(path)) is not None and 1 <= one[1] <= one[0].count:
            of_series.setdefault(one[0], {})[one[1]] = size
    found = [
        _model(path, sizes[path], of_series)
        for path in sizes
        if is_model(path) and (folder is None or path.startswith(f"{folder}/"))
    ]
    return tuple(sorted(found, key=lambda model: (model.size, model.path)))


def choose(wanted: RepositorySpec, models: Sequence[ListedModel]) -> ListedModel:
    """Return the model that is meant. Raises `PullError` with those to choose from.

    A tag means the one model with this quantization, else the one whose name has this word. Without
    a tag it is the only model, or the only one of the first quantization of `DEFAULT_ORDER` that
    there is.
    """
    if not models:
        where = f"{wanted.folder}/ of {wanted.repo_id}" if wanted.folder else wanted.repo_id
        raise PullError(
            f"{wanted}: {where} has no .gguf file of a model. Another repository often has it: "
            f"look for {wanted.repo}-GGUF on the hub"
        )
    meant = list(models) if wanted.tag is None else _tagged(wanted.tag, models)
    if wanted.tag is None and len(meant) > 1:
        for label in DEFAULT_ORDER:
            if labelled := [model for model in models if model.quantization == label]:
                meant = labelled
                break
    if not meant:
        raise PullError(f"{wanted.repo_id} has no model {wanted.tag}. {listed(wanted, models)}")
    if len(meant) > 1:
        raise PullError(f"{wanted} may be several models. {listed(wanted, meant)}")
    if missing := meant[0].missing:
        raise PullError(f"{wanted}: {wanted.repo_id} lacks a part of the model: {missing}")
    return meant[0]


def listed(repository: RepositorySpec, models: Sequence[ListedModel]) -> str:
    """Return the models of a repository to choose from, a line for each: its size and its name."""
    from rich.filesize import decimal  # noqa: PLC0415 - most starts choose nothing

    shown = models[:MOST_SHOWN]
    names = short_names(repository, models, shown)
    rows = [f"  {decimal(model.size):>9}  {names[model.path]}" for model in shown]
    if len(models) > MOST_SHOWN:
        rows.append(f"  and {len(models) - MOST_SHOWN:,} more: {repository.page}")
    return "\n".join(["Choose one of", *rows])


def short_names(
    repository: RepositorySpec,
    models: Sequence[ListedModel],
    shown: Sequence[ListedModel] | None = None,
) -> Mapping[str, str]:
    """Return the shortest name of each model, or of each that is `shown`, by its path."""
    whole = RepositorySpec(repository.owner, repository.repo, None, repository.revision)
    names: dict[str, str] = {}
    for model in models if shown is None else shown:
        label = model.quantization
        alike = () if label is None else (one for one in models if answers_to(one.path, label))
        by_label = msgspec.structs.replace(whole, tag=label)
        # Two are enough: a name that means several is none.
        one_alone = len(tuple(islice(alike, 2))) == 1
        names[model.path] = str(by_label if one_alone else whole.file(model.path))
    return names


def _model(path: str, size: int, of_series: Mapping[Series, Mapping[int, int]]) -> ListedModel:
    """Return the model of a file; of a series without writing every name that it may have."""
    one = series_of(path)
    if one is None:
        return ListedModel(path, size, quantization_of(path))
    series, _ = one
    there = of_series.get(series, {})
    first = next(number for number in count(1) if number not in there)
    missing = series.name(first) if first <= series.count else None
    return ListedModel(path, sum(there.values()), quantization_of(path), missing)


def _tagged(tag: str, models: Sequence[ListedModel]) -> list[ListedModel]:
    exact = [model for model in models if model.quantization == tag.upper()]
    return exact or [model for model in models if answers_to(model.path, tag)]
