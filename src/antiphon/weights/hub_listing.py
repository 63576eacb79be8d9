"""Asks the hub which files a repository has. What it answers is bounded, and believed only then."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from antiphon.weights.download import (
    RemoteFile,
    RemoteStream,
    StatusError,
    UnreachableError,
    opened,
)
from antiphon.weights.file_names import check_path
from antiphon.weights.hub_access import USUAL_HUB, HubAccess
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.repository import ListedFile, choose, models_of
from antiphon.weights.source import OFFLINE, PullError

MOST_PAGES: Final = 20
"""Of a listing; the hub has a thousand files on each."""
MOST_FILES: Final = 20_000
"""Of a listing: as many as such pages have."""
MOST_BYTES: Final = 8 << 20
"""Of one page."""
MOST_SIZE: Final = 1 << 50
"""Of one file, in bytes."""
_NEXT = re.compile(r'<([^<>]{1,4000})>\s*;\s*rel="?next"?', re.IGNORECASE)
_WRITABLE = re.compile(r"[!-~]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Lfs(msgspec.Struct):
    oid: str | UnsetType = UNSET


class _Entry(msgspec.Struct):
    """A file or a folder, as the hub lists it; everything else that it says is left out."""

    type: str
    path: str
    size: int = 0
    lfs: _Lfs | None = None


def resolve_repository(spec: RepositorySpec, hub: HubAccess = USUAL_HUB) -> HubSpec:
    """Ask the hub for the one file that a repository's name means. Raises `PullError`."""
    return spec.file(choose(spec, models_of(list_files(spec, hub), spec.folder)).path)


def list_files(spec: RepositorySpec, hub: HubAccess = USUAL_HUB) -> tuple[ListedFile, ...]:
    """Return the model files of a repository. Raises `PullError`.

    Names that no file should have are left out, and so are sizes that none can have.
    """
    # huggingface_hub knows where the hub is: it reads HF_ENDPOINT, HF_HUB_OFFLINE, ….
    from huggingface_hub import constants  # noqa: PLC0415 - it takes a while

    if constants.HF_HUB_OFFLINE:
        raise PullError(f"{spec} is not here yet, and HF_HUB_OFFLINE is set. {OFFLINE}")
    base = hub.base()
    revision = quote(spec.revision or "main", safe="")
    address = f"{base}/api/models/{spec.repo_id}/tree/{revision}?recursive=true"
    authorization = hub.authorization()
    try:
        entries = list(_entries(spec, address, authorization))
    except StatusError as error:
        host = urlsplit(base).netloc
        raise PullError(f"{spec}: {_refusal(error.status, error.code, host)}") from error
    except UnreachableError as error:
        raise PullError(f"{spec} is not here yet. {error.reason}. {OFFLINE}") from error
    return tuple(
        ListedFile(entry.path, entry.size, _sha256(entry))
        for entry in entries
        if entry.type == "file" and check_path(entry.path) is None and 0 <= entry.size < MOST_SIZE
    )


def _entries(spec: RepositorySpec, address: str, authorization: str | None) -> Iterator[_Entry]:
    origin = urlsplit(address)[:2]
    count = 0
    for _ in range(MOST_PAGES):
        remote = RemoteFile(address, origin=address, authorization=authorization)
        with opened(remote) as stream:
            content, link = _read(spec, stream), stream.header("Link")
        try:
            entries = msgspec.json.decode(content, type=list[_Entry])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PullError(f"{spec}: {origin[1]} does not answer as a hub does") from error
        count += len(entries)
        if count > MOST_FILES:
            raise PullError(f"{spec} has more than {MOST_FILES:,} files; name one of them")
        yield from entries
        found = _NEXT.search(link)
        if found is None:
            return
        # The token goes with each request, so none goes elsewhere.
        if (following := _joined(address, found[1])) is None or urlsplit(following)[:2] != origin:
            raise PullError(f"{spec}: {origin[1]} names another host for the rest of its files")
        address = following
    raise PullError(f"{spec} has more than {MOST_PAGES} pages of files; name one of them")


def _joined(address: str, link: str) -> str | None:
    """Return where a link of a page leads; `None` if it is no address."""
    if not _WRITABLE.fullmatch(link):
        return None
    try:
        return urljoin(address, link)
    except ValueError:
        return None


def _read(spec: RepositorySpec, stream: RemoteStream) -> bytes:
    content = bytearray()
    while piece := stream.read(1 << 16):
        content += piece
        if len(content) > MOST_BYTES:
            raise PullError(f"{spec}: the hub's list of files has more than {MOST_BYTES >> 20} MiB")
    return bytes(content)


def _sha256(entry: _Entry) -> str | None:
    oid = entry.lfs.oid if entry.lfs is not None else UNSET
    return oid if isinstance(oid, str) and _SHA256.fullmatch(oid) else None


def _refusal(status: int, code: str, host: str) -> str:
    """Return what a refusal of the hub means, by the code in its header, else by its status."""
    meanings = {
        "GatedRepo": "its owner asks for consent: give it on the hub's page, and set HF_TOKEN",
        "RepoNotFound": "the hub has no such repository, or it is private: then set HF_TOKEN",
        "RevisionNotFound": "the repository has no such branch, tag or commit",
        "401": "the hub has no such repository, or it is private: then set HF_TOKEN",
        "403": "HF_TOKEN does not give access",
        "404": "the hub has no such repository",
    }
    found = meanings.get(code) or meanings.get(str(status))
    return found or f"{host} answered {status}. Try again later"
