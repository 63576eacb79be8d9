"""A model on the Hugging Face hub: its client locates the file, `download` fetches it."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import msgspec

from antiphon.weights.download import RemoteFile, download
from antiphon.weights.hub_access import USUAL_HUB, HubAccess
from antiphon.weights.hub_names import HubSpec
from antiphon.weights.progress import Progress
from antiphon.weights.source import OFFLINE, PARTIAL, FetchedFile, PullError, system_reason
from antiphon.weights.spec import is_allowed_url

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


class LocatedFile(msgspec.Struct, frozen=True):
    """Where a file is fetched from, with what its source states: its bytes, its SHA-256, facts."""

    remote: RemoteFile
    name: str
    size: int | None
    sha256: str | None
    source: Mapping[str, str]


def fetch_hub(
    spec: HubSpec,
    folder: Path,
    progress: Progress,
    hub: HubAccess = USUAL_HUB,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchedFile:
    """Resolve the file to one commit, and download that.

    `hf_hub_download` is not used: version 2.4 discards an interrupted download.
    """
    found = locate_on_hub(spec, hub)
    partial = folder / f"{spec.file}{PARTIAL}"
    source = download(found.remote, partial, progress, sleep)
    return FetchedFile(partial, spec.file, found.sha256, {**source, **found.source})


def remote_of(spec: HubSpec, hub: HubAccess = USUAL_HUB) -> RemoteFile:
    """Return where the hub has a file. Raises `PullError`."""
    return locate_on_hub(spec, hub).remote


def locate_on_hub(spec: HubSpec, hub: HubAccess = USUAL_HUB) -> LocatedFile:
    """Ask the hub for the address of a file, its SHA-256 if it is in LFS, and the commit.

    Raises `PullError`.
    """
    # huggingface_hub takes half a second to import, and then reads HF_ENDPOINT, HF_TOKEN, ….
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # noqa: PLC0415
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        OfflineModeIsEnabled,
    )

    base = hub.base()
    try:
        url = hf_hub_url(spec.repo_id, spec.path, revision=spec.revision, endpoint=base)
    except HFValidationError as error:
        raise PullError(f"{spec}: the hub has no repository of such a name") from error
    host = urlsplit(url).netloc
    try:
        found = get_hf_file_metadata(
            url, endpoint=base, token=hub.revealed(), library_name="antiphon"
        )
    except HfHubHTTPError as error:
        raise PullError(f"{spec}: {_refusal(error, host)}") from error
    except HFValidationError as error:
        raise PullError(f"{spec}: the hub has no repository of such a name") from error
    except OfflineModeIsEnabled as error:
        raise PullError(f"{spec} is not here yet, and HF_HUB_OFFLINE is set. {OFFLINE}") from error
    except (HTTPError, OSError) as error:
        raise PullError(
            f"{spec} is not here yet, and {host} cannot be reached: {system_reason(error)}. "
            f"{OFFLINE}"
        ) from error
    except ValueError as error:  # an address or a length that is none
        raise PullError(f"{spec}: {host} does not answer as a hub does") from error
    location = _split(found.location)
    if found.commit_hash is None or found.etag is None or location is None:
        raise PullError(f"{spec}: {host} does not answer as a hub does")
    own = location[:2] == urlsplit(url)[:2]
    # The hub says where the file is: to no host without encryption but this machine.
    if not own and not is_allowed_url(location):
        raise PullError(f"{spec}: {host} sends to {found.location}, which is not https")
    authorization = hub.authorization() if own else None
    sha256 = found.etag if re.fullmatch(r"[0-9a-f]{64}", found.etag) else None
    remote = RemoteFile(found.location, f"hf:{spec.repo_id}#{found.etag}", authorization)
    return LocatedFile(remote, spec.file, found.size, sha256, {"revision": found.commit_hash})


def _split(address: str) -> SplitResult | None:
    """Return the parts of an address; `None` if it is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # reading the port checks it
    except ValueError:
        return None
    return parts


def _refusal(error: "HfHubHTTPError", host: str) -> str:
    """Return what an answer of the hub means, by its class, else by its status."""
    from huggingface_hub.errors import (  # noqa: PLC0415 - as above
        GatedRepoError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            return "its owner asks for consent: give it on the hub's page, and set HF_TOKEN"
        case RepositoryNotFoundError():
            return "the hub has no such repository, or it is private: then set HF_TOKEN"
        case RevisionNotFoundError():
            return "the repository has no such branch, tag or commit"
        case RemoteEntryNotFoundError():
            return "the repository has no such file"
        case _:
            status = error.response.status_code
            hints = {
                404: "the name leads to no file",
                401: "set HF_TOKEN",
                403: "HF_TOKEN does not give access",
            }
            return f"{host} answered {status}" + (
                f": {hints[status]}" if status in hints else ". Try again later"
            )
