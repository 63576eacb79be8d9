"""Fetches a model that is split over several files, each of which resumes and is checked alone."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from antiphon.weights.download import RemoteFile, download, opened
from antiphon.weights.hub import LocatedFile, locate_on_hub
from antiphon.weights.hub_access import USUAL_HUB, HubAccess
from antiphon.weights.hub_names import HubSpec
from antiphon.weights.progress import Progress
from antiphon.weights.source import (
    PARTIAL,
    FetchedFile,
    PullError,
    check_file,
    discard,
    sidecar_path,
)
from antiphon.weights.space import LEAST_FREE, check_space
from antiphon.weights.spec import UrlSpec


def fetch_parts(
    spec: HubSpec | UrlSpec,
    folder: Path,
    progress: Progress,
    hub: HubAccess = USUAL_HUB,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[FetchedFile, ...]:
    """Download all files of a model; each has the SHA-256 of its content.

    Every file is asked for before the first is fetched, so that one that is missing is told at
    once, and too little space. Those of a hub are of one commit. What was fetched before stays.
    """
    located = _locate(spec, hub)
    for file in located:
        _take_back(folder / file.name)
    kept = sum(_size(folder / f"{file.name}{PARTIAL}") for file in located)
    whole = sum(file.size or 0 for file in located)
    if whole > kept:
        check_space(folder, whole - kept + LEAST_FREE)
    fetched, before = list[FetchedFile](), 0
    for number, file in enumerate(located, 1):
        progress.note(f"Part {number} of {len(located)}: {file.name}")
        partial = folder / f"{file.name}{PARTIAL}"
        part = _PartProgress(progress, whole if all(one.size for one in located) else None, before)
        facts = {**download(file.remote, partial, part, sleep), **file.source}
        fetched.append(_checked(FetchedFile(partial, file.name, file.sha256, facts)))
        before += _size(partial)
    return tuple(fetched)


def _locate(spec: HubSpec | UrlSpec, hub: HubAccess) -> Sequence[LocatedFile]:
    """Return where the parts are. Raises `PullError` that names a missing one."""
    if isinstance(spec, HubSpec):
        first = locate_on_hub(spec, hub)
        # Others of a later commit would be those of another model.
        rest = spec.parts(first.source["revision"])[1:]
        return (first, *(locate_on_hub(one, hub) for one in rest))
    return [_locate_on_web(one) for one in spec.parts()]


def _locate_on_web(spec: UrlSpec) -> LocatedFile:
    remote = RemoteFile(spec.url, origin=spec.url)
    with opened(remote) as stream:
        return LocatedFile(remote, spec.file, stream.size, None, {})


def _take_back(path: Path) -> None:
    """Make a file partial again that a crash left behind before the manifest was written."""
    partial = path.with_name(f"{path.name}{PARTIAL}")
    if path.exists() and sidecar_path(partial).exists():
        path.replace(partial)


def _checked(fetched: FetchedFile) -> FetchedFile:
    try:
        sha256 = check_file(fetched)
    except PullError:
        discard(fetched.partial)
        raise
    return FetchedFile(fetched.partial, fetched.name, sha256, fetched.source)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _PartProgress:
    """Shows one part as a part of the whole, which has `whole` bytes, `before` of them earlier."""

    def __init__(self, progress: Progress, whole: int | None, before: int) -> None:
        self._progress = progress
        self._whole = whole
        self._before = before

    def started(self, total: int | None, done: int) -> None:
        del total
        self._progress.started(self._whole, self._before + done)

    def advanced(self, count: int) -> None:
        self._progress.advanced(count)

    def note(self, text: str) -> None:
        self._progress.note(text)

    def finished(self) -> None: ...
